"""What the commands that train or test have in common: quiet, with errors of one sentence."""

import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from mmengine.runner import Runner

from mmcednet.command_line import exit_on_error
from mmcednet.images import ImageError
from mmcednet.models.pretrained import WeightsError
from mmcednet.optim.layer_decay import SettingError
from mmcednet.training import explain_faults

from .processes import destroy_process_group
from .quiet import quiet_console


def run_training(
    prepare: Callable[[], Runner],
    show: Callable[[Runner], AbstractContextManager],
    finish: Callable[[Runner], None] = lambda runner: None,
) -> int:
    """Train; return the exit code.

    Args:
        prepare: Builds the runner.
        show: Shows the progress, such as :func:`show_training`.
        finish: What follows the training. Default: nothing.

    Raises:
        SystemExit: With an error of one sentence.
    """

    def train() -> None:
        with exit_on_error(), exit_on_wrong_setting():
            runner = prepare()
        errors = ImageError, SettingError, WeightsError
        with explain_faults(runner), exit_on_error(*errors), exit_on_wrong_setting(), show(runner):
            runner.train()  # builds the optimizer and the data loaders, too
        finish(runner)

    return run(train)


def run_test(prepare: Callable[[], Runner]) -> int:
    """Test; return the exit code.

    Args:
        prepare: Builds the runner.

    Raises:
        SystemExit: With an error of one sentence.
    """

    def test() -> None:
        with exit_on_error(), exit_on_wrong_setting():
            runner = prepare()
        with exit_on_error(ImageError), exit_on_wrong_setting():
            runner.test()

    return run(test)


@contextmanager
def exit_on_wrong_setting() -> Iterator[None]:
    """Turn what mmengine raises when it builds a config's parts into an error of one sentence.

    That is a type that is not registered, or an argument that a class does not have.

    Raises:
        SystemExit: Instead of these; other exceptions, and those of the parts themselves, propagate.
    """
    try:
        yield
    except (KeyError, TypeError) as error:
        raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename).parts
        text = str(error.args[0]) if error.args else ''
        if 'mmengine' not in raised_in or not {'registry', 'runner'} & set(raised_in):
            raise
        if unknown := re.match(r'[\w.]+ is not in the .* registry', text):
            sys.exit(f'error: {unknown[0]}; check its spelling, or name its module in custom_imports')
        if '__init__() got an unexpected keyword argument' in text:
            sys.exit(f'error: a setting is wrong: {text}')
        raise


def run(command: Callable[[], None]) -> int:
    """Run a command in a :func:`quiet_console`, and then leave its process group."""
    try:
        with quiet_console():
            command()
    except SystemExit as error:
        raise error.with_traceback(None) from None  # the traceback would keep the runner
    finally:
        destroy_process_group()
    return 0
