"""A progress bar of a training."""

import sys

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmcednet.metrics import to_percent


class ProgressHook(Hook):
    """Shows a progress bar with the training loss, and prints a line after each validation.

    Attributes:
        results: Title -> value in [0, 1] of the config's ``shown_metrics`` in the last validation.
    """

    def __init__(self) -> None:
        self.results: dict[str, float] = {}
        self.loss = float('nan')
        self.bar = Progress(
            TextColumn('training'),
            BarColumn(),
            TextColumn('{task.completed}/{task.total} iterations, loss {task.fields[loss]:.2f}'),
            TimeElapsedColumn(),
            TextColumn('left:'),
            TimeRemainingColumn(),
            console=Console(file=sys.stdout),  # the terminal, even while stdout is redirected
        )

    def before_train(self, runner: Runner) -> None:
        self.task = self.bar.add_task(
            'training', total=runner.max_iters, completed=runner.iter, loss=self.loss
        )
        self.bar.start()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        loss = outputs['loss'].item()
        self.loss = loss if np.isnan(self.loss) else 0.95 * self.loss + 0.05 * loss
        self.bar.update(self.task, advance=1, loss=self.loss)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        shown = runner.cfg.shown_metrics
        self.results = {title: to_percent(key, metrics[key]) / 100 for key, title in shown.items()}
        epochs = f'{runner.epoch}/{runner.max_epochs}'
        results = ', '.join(f'{title} {value:.3f}' for title, value in self.results.items())
        self.bar.console.print(f'epoch {epochs}: loss {self.loss:.2f}, {results}')

    def after_train(self, runner: Runner) -> None:
        self.bar.stop()
