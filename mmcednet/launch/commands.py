"""What the commands that train or test have in common: quiet, with errors of one sentence."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from mmengine.runner import Runner

from mmcednet.command_line import exit_on_error
from mmcednet.images import ImageError
from mmcednet.models.pretrained import WeightsError
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
        with exit_on_error():
            runner = prepare()
        with explain_faults(runner), exit_on_error(ImageError, WeightsError), show(runner):
            runner.train()
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
        with exit_on_error():
            runner = prepare()
        with exit_on_error(ImageError):
            runner.test()

    return run(test)


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
