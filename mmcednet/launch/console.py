"""What a training or test prints: without the lines that only a log file needs."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmcednet.report.hook import TASKS, ReportHook
from mmcednet.visualization.progress import AboveBar, ProgressHook

# How messages begin that no user can act on, or that are long and in the log file, too
FOR_THE_LOG = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Could not import OneDL',
    '\n------------------------------------------------------------\nSystem environment',
    'Config:\n',
    'Hooks will be executed in the following order',
    'paramwise_options --',
    'Distributed training is not used, all SyncBatchNorm',
    'The prefix is not set in metric class',
)
# What the toolboxes and pycocotools print during a training; a progress bar says it in less
FOR_THE_BAR = (
    *('Epoch(', 'Iter(', 'Exp name: ', 'Saving checkpoint at', 'The previous best checkpoint'),
    *('Evaluating ', 'bbox_mAP_copypaste', 'segm_mAP_copypaste', 'per class results', '\n+---'),
    *('loading annotations', 'creating index', 'index created', 'Loading and preparing results'),
    *('Running per image', 'Evaluate annotation type', 'Accumulating evaluation'),
    *('Done (t=', 'DONE (t=', ' Average Precision', ' Average Recall'),
)
IGNORED_WARNINGS = (
    'Warning: The .* is out of bounds',  # for each box that touches the border
    'faster_coco_eval is not installed',
    'The draw is False',
    'Default ``avg_non_ignore`` is False',
    '`Visualizer` backend is not',
)


class QuietStream:
    """A text stream without some messages, each of which is written at once.

    Args:
        stream: Where the others go; it has all other attributes, too.

    Attributes:
        stream: The same.
        has_bar: Whether a progress bar is shown, so that more is left out.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream: Any = stream
        self.has_bar = False
        self.unfinished = False  # a message was dropped, whose end of line comes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a log record or what ``print`` writes: a message, then the end of its line."""
        message = text.partition(' - mmengine - ')[2].partition(' - ')[2] or text
        if message.startswith(FOR_THE_LOG + (FOR_THE_BAR if self.has_bar else ())):
            self.unfinished = not text.endswith('\n')
        elif self.unfinished and text == '\n':
            self.unfinished = False
        else:
            self.stream.write(text)
        return len(text)


@contextmanager
def quiet_console() -> Iterator[None]:
    """Leave out messages of the toolboxes that tell a user nothing; log files have them all."""
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings('ignore', message)
    with redirect_stdout(QuietStream(sys.stdout)):
        yield


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
