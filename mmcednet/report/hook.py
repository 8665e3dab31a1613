"""The hook that draws a training and evaluates its best checkpoint, class by class."""

import logging
import shlex
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.dist import collect_results, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmcednet.metrics import list_shown_metrics
from mmcednet.visualization.colours import find_palette

from .evaluation import Record, Task

# Default scope of a config -> the module and class of its task
TASKS = {
    'mmdet': ('detection', 'Detection'),
    'mmseg': ('segmentation', 'Segmentation'),
    'mmpretrain': ('classification', 'Classification'),
}
MAX_SHARE = 0.02  # of the time of a training that its pictures may take before its end
SHOWN_IMAGES = 12
BATCH_IMAGES = 16


def find_task(scope: str) -> Task:
    """The kind of model of a config's scope; its module needs the toolbox, and matplotlib."""
    module, name = TASKS[scope]
    return getattr(import_module(f'.{module}', __package__), name)()


def find_metainfo(runner: Runner, part: str) -> dict[str, Any]:
    """Metainfo of the data for 'train', 'val' or 'test', with the palette of all drawn predictions."""
    dataset = getattr(runner, f'{part}_dataloader').dataset
    metainfo = dict(dataset.metainfo)
    if runner.cfg.default_scope != 'mmpretrain':  # whose classes have no colours
        palette = find_palette(dataset, runner.cfg[f'{part}_dataloader'].dataset)
        metainfo['palette'] = None if palette is None else palette.tolist()
    return metainfo


class ReportHook(Hook):
    """Draws what a training or an evaluation does; never a reason for it to fail.

    - The first images of a training, with their labels: ``training_images.png``.
    - After each validation its curves, and truth and predictions of the first images: ``curves.png``,
      ``curves.csv``, ``predictions.png``; left out while all pictures would take more than 2 % of the
      time of the training, but drawn at its end.
    - After a test, or at the end of a training for its best validation, the evaluation of each class
      and image: ``classes.csv``, ``confusion_matrix.png``, ``precision_recall.png``,
      ``worst_images.png`` and their CSV files.

    In several processes each keeps what its own images need, and the first one draws.

    Args:
        out: Folder of the files.
    """

    priority = 'LOWEST'

    def __init__(self, out: Path) -> None:
        self.out = out
        self.records: list[Record | None] = []
        self.logged: set[str] = set()
        self.best: tuple[list[Record], dict[str, float]] | None = None
        self.best_checkpoint: str | None = None
        self.batches: tuple[list[Any], list[Any]] | None = ([], [])
        self.spent = 0.0
        self.pending: list[Record] = []

    def attempt(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function; an error is logged, once for all images, and its time is counted."""
        start = time.perf_counter()
        try:
            return function(*args)
        except Exception as error:  # of any library that draws
            message = f'No picture: {type(error).__name__}: {error}'
            if message not in self.logged:
                print_log(message, 'current', logging.WARNING)
            self.logged.add(message)
        finally:
            self.spent += time.perf_counter() - start
        return None

    def before_train(self, runner: Runner) -> None:
        self.start = time.perf_counter()
        self.best_checkpoint = runner.message_hub.get_info('best_ckpt')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if self.batches is not None and is_main_process():
            self.attempt(self.add_batch, runner, data_batch)

    def add_batch(self, runner: Runner, batch: Any) -> None:
        """Keep copies of the images of the first batches, and draw them once there are enough."""
        images, samples = self.batches or ([], [])
        self.batches = None  # if this fails, there is no picture
        images += [image.clone() for image in batch['inputs']]
        samples += [sample.clone() for sample in batch['data_samples']]
        if len(images) < min(BATCH_IMAGES, len(runner.train_dataloader.dataset)):
            self.batches = images, samples
            return
        from .batches import draw_batches

        metainfo = find_metainfo(runner, 'train')
        shown = slice(BATCH_IMAGES)
        draw_batches(images[shown], samples[shown], metainfo, self.out / 'training_images.png')

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        self.add(runner, runner.val_dataloader, outputs or ())

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        self.add(runner, runner.test_dataloader, outputs or ())

    def add(self, runner: Runner, loader: Any, outputs: Sequence[Any]) -> None:
        """Keep what the report needs of each image; the label maps of few."""
        for sample in outputs:
            task = self.attempt(find_task, runner.cfg.default_scope)
            self.records.append(task and self.attempt(task.record, sample, loader.dataset.metainfo))
        drop_maps(self.records)

    def collect(self, loader: Any) -> list[Record]:
        """The records of all processes, in the order of the images; empty where nothing is drawn."""
        records = collect_results(self.records, len(loader.dataset), 'cpu') or []
        self.records = []
        return [record for record in records if record is not None]

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        records = self.collect(runner.val_dataloader)
        if not is_main_process():
            return
        checkpoint = runner.message_hub.get_info('best_ckpt')
        if checkpoint is None or checkpoint != self.best_checkpoint:
            self.best, self.best_checkpoint = (records, metrics or {}), checkpoint
        self.pending = records
        if self.spent < MAX_SHARE * (time.perf_counter() - self.start):
            self.draw_progress(runner)

    def draw_progress(self, runner: Runner) -> None:
        """Draw the curves, and the images of the latest validation."""
        self.attempt(self.write_curves, runner)
        if self.pending:
            self.attempt(self.draw_predictions, runner, 'val', self.pending)
        self.pending = []

    def write_curves(self, runner: Runner) -> None:
        from mmcednet.visualization.charts import draw_curves, read_log, write_csv

        log = Path(runner.log_dir, 'vis_data', 'scalars.json')
        if not log.exists():  # a training that had ended was resumed
            return
        draw_curves(log, runner.cfg, self.out / 'curves.png')
        write_csv(read_log(log), self.out / 'curves.csv')

    def draw_predictions(self, runner: Runner, part: str, records: list[Record]) -> None:
        from .files import draw_records

        task = find_task(runner.cfg.default_scope)
        shown = [{key: value for key, value in record.items() if key != 'note'} for record in records]
        metainfo = find_metainfo(runner, part)
        draw_records(shown[:SHOWN_IMAGES], task, metainfo, self.out / 'predictions.png')

    def after_train(self, runner: Runner) -> None:
        if not is_main_process():
            return
        self.draw_progress(runner)
        if self.best is not None:  # otherwise it is of before the training was resumed
            records, metrics = self.best
            table = self.attempt(self.evaluate, runner, 'val', runner.val_evaluator, records)
            print_log(self.describe(runner, metrics, table), 'current')
        checkpoint = self.best_checkpoint or runner.message_hub.get_info('last_ckpt')
        print_log(describe_next(runner, checkpoint), 'current')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        records = self.collect(runner.test_dataloader)
        if not is_main_process():
            return
        table = self.attempt(self.evaluate, runner, 'test', runner.test_evaluator, records)
        self.attempt(self.draw_predictions, runner, 'test', records)
        print_log(self.describe(runner, metrics or {}, table), 'current')

    def evaluate(self, runner: Runner, part: str, evaluator: Any, records: list[Record]) -> str:
        """Evaluate and write the files; return the table of the classes."""
        from .files import format_table, write_evaluation

        task, metainfo = find_task(runner.cfg.default_scope), find_metainfo(runner, part)
        evaluation = task.evaluate(records, metainfo, evaluator.metrics)
        write_evaluation(evaluation, task, metainfo, self.out)
        return format_table(evaluation.table)

    def describe(self, runner: Runner, metrics: dict[str, float], table: str | None) -> str:
        """The results: metrics, table of the classes, and the folder of the pictures."""
        shown = list_shown_metrics(runner.cfg, metrics)
        results = ', '.join(f'{title} {value:.3f}' for title, value in shown.values())
        return f'Results: {results}\n{table or ""}\nPictures and tables: {self.out}'


def describe_next(runner: Runner, checkpoint: str | None) -> str:
    """The checkpoint of a training, and what to do with it."""
    files = shlex.join([runner.cfg.filename or 'CONFIG', str(checkpoint)])
    return (
        f'Checkpoint: {checkpoint}\n'
        f'Next: mmcednet infer {files} IMAGES -o predictions\n'
        f'      mmcednet evaluate {files}'
    )


def drop_maps(records: Sequence[Record | None]) -> None:
    """Drop the label maps of images that will not be drawn, which would fill the memory."""
    kept = [record for record in records[SHOWN_IMAGES:] if record and 'maps' in record]
    for record in sorted(kept, key=lambda record: record['score'])[SHOWN_IMAGES:]:
        del record['maps']
