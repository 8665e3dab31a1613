"""A progress bar of a training."""

import sys
from typing import Any, TextIO

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from mmcednet.metrics import list_shown_metrics


class AboveBar:
    """A text stream that prints lines above a progress bar, long ones as they are."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.line = ''

    def write(self, text: str) -> int:
        *lines, self.line = (self.line + text).split('\n')
        for line in lines:
            self.console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Nothing to do: a line is printed when it ends."""


class ProgressHook(Hook):
    """Shows a progress bar with the training loss, and prints a line after each validation.

    Args:
        stream: Where to; default: the standard output, also while that is redirected later.

    Attributes:
        results: Title -> value in [0, 1] of the metrics in the last validation.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.results: dict[str, float] = {}
        self.loss = float('nan')
        self.bar = Progress(
            TextColumn('training'),
            BarColumn(),
            TextColumn('{task.completed}/{task.total} iterations{task.fields[loss]}'),
            TimeElapsedColumn(),
            TextColumn('left:'),
            TimeRemainingColumn(),
            console=Console(file=stream or sys.stdout),
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def before_train(self, runner: Runner) -> None:
        self.task = self.bar.add_task(
            'training', total=runner.max_iters, completed=runner.iter, loss=''
        )
        self.bar.start()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        loss = torch.as_tensor((outputs or {}).get('loss', np.nan)).item()
        self.loss = loss if np.isnan(self.loss) else 0.95 * self.loss + 0.05 * loss
        self.bar.update(self.task, completed=runner.iter + 1, loss=f', loss {self.loss:.3g}')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        shown = list_shown_metrics(runner.cfg, metrics or {})
        self.results = dict(shown.values())
        results = ', '.join(f'{title} {value:.3f}' for title, value in self.results.items())
        position = f'epoch {runner.epoch}/{runner.max_epochs}'
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            position = f'iteration {runner.iter}/{runner.max_iters}'
        self.bar.console.print(f'{position}: loss {self.loss:.3g}, {results}', highlight=False)

    def after_train(self, runner: Runner) -> None:
        self.bar.stop()
