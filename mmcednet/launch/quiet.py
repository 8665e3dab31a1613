"""The console without messages of the toolboxes that tell a user nothing."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

# How messages begin that no user can act on, or that are long and in the log file, too
FOR_THE_LOG = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Could not import OneDL',
    'Loads checkpoint by',
    '\n------------------------------------------------------------\nSystem environment',
    'Config:\n',
    'Hooks will be executed in the following order',
    'paramwise_options --',
    'Distributed training is not used, all SyncBatchNorm',
    'The prefix is not set in metric class',
    *('loading annotations', 'creating index', 'index created', 'Loading and preparing results'),
    *('Running per image', 'Evaluate annotation type', 'Accumulating evaluation'),
    *('Done (t=', 'DONE (t='),
)
# What the toolboxes and pycocotools print during a training; a progress bar says it in less
FOR_THE_BAR = (
    *('Epoch(', 'Iter(', 'Exp name: ', 'Saving checkpoint at', 'The previous best checkpoint'),
    *('Evaluating ', 'bbox_mAP_copypaste', 'segm_mAP_copypaste', 'per class results', '\n+---'),
    *(' Average Precision', ' Average Recall'),
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
    with warnings.catch_warnings(), redirect_stdout(QuietStream(sys.stdout)):
        for message in IGNORED_WARNINGS:
            warnings.filterwarnings('ignore', message)
        yield
