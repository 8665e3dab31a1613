"""What a training shows: its bar, and the pictures of its report."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmcednet.report.hook import TASKS, ReportHook
from mmcednet.visualization.progress import AboveBar, ProgressHook

from .quiet import QuietStream


@contextmanager
def show_training(runner: Runner) -> Iterator[None]:
    """Show how a training goes: pictures in WORK_DIR/report, and in a terminal a progress bar.

    Args:
        runner: The runner before it trains, built in a :func:`quiet_console`.
    """
    if runner.cfg.get('default_scope') in TASKS:
        runner.register_hook(ReportHook(Path(runner.work_dir, 'report')))
    with show_bar(runner):
        yield


@contextmanager
def show_bar(runner: Runner) -> Iterator[None]:
    """Show a progress bar in a terminal.

    Args:
        runner: As for :func:`show_training`.
    """
    console = sys.stdout
    if not (isinstance(console, QuietStream) and console.isatty() and is_main_process()):
        yield
        return
    terminal = console.stream
    hook = ProgressHook(terminal)
    runner.register_hook(hook)
    above = AboveBar(hook.bar.console)
    console.stream, console.has_bar = above, True
    try:
        with redirect_stderr(above):
            yield
    finally:
        hook.bar.stop()
        console.stream, console.has_bar = terminal, False
