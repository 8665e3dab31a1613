"""What the commands that train or test have in common: quiet, with errors of one sentence."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

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
    """Turn errors about a class that a config names, or about its arguments, into one sentence.

    Raises:
        SystemExit: Instead of these; other exceptions propagate.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        text = str(error.args[0]) if error.args else ''
        built = re.match(
            r'class `\w+` in \S+: ', text
        )  # mmengine names each class that it was building
        unknown = re.match(r'\w+ is not in the .* registry', text)
        if isinstance(error, KeyError) and unknown:
            sys.exit(f'error: the type of a setting is wrong: {unknown[0]}')
        if isinstance(error, TypeError) and '__init__() got an unexpected keyword argument' in text:
            sys.exit(f'error: a setting is wrong: {text.rpartition(": ")[2]}')
        if isinstance(error, ValueError) and built:
            sys.exit(f'error: {re.sub(r"class `.*` in .*: ", "", text) or text}')
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
