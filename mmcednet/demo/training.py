"""The demo: a very small model trained, evaluated and drawn in a few minutes."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmcednet.engine.launch import adapt_to_device
from mmcednet.engine.metrics import per_cent

from .drawing import draw_curves, draw_predictions

NANO = 'cednet_nano_shapes.py'


class ProgressHook(Hook):
    """A progress bar of the training, with the loss, and a line for each validation.

    Attributes:
        results: What the config's ``shown_metrics`` were in the last validation, from 0 to 1, by their
            titles.
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
            console=Console(file=sys.stdout),  # also while others' output goes to a file
        )

    def before_train(self, runner: Runner) -> None:
        self.task = self.bar.add_task('training', total=runner.max_iters, loss=self.loss)
        self.bar.start()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        loss = outputs['loss'].item()
        self.loss = loss if np.isnan(self.loss) else 0.95 * self.loss + 0.05 * loss
        self.bar.update(self.task, advance=1, loss=self.loss)

    def after_val_epoch(self, runner, metrics=None) -> None:
        shown = runner.cfg.shown_metrics
        self.results = {title: per_cent(key, metrics[key]) / 100 for key, title in shown.items()}
        epochs = f'{runner.epoch}/{runner.max_epochs}'
        results = ', '.join(f'{title} {value:.3f}' for title, value in self.results.items())
        self.bar.console.print(f'epoch {epochs}: loss {self.loss:.2f}, {results}')

    def after_train(self, runner: Runner) -> None:
        self.bar.stop()


def find_config(configs: Path, framework: str) -> Path:
    """The config of a framework's demo: its nano config, where that says what the demo shows.

    Raises:
        ValueError: There is none.
    """
    nano = {path.parent.name: path for path in configs.glob(f'*/{NANO}')}
    found = {name: path for name, path in nano.items() if 'shown_metrics' in Config.fromfile(path)}
    if framework not in found:
        raise ValueError(f'framework {framework!r} must be one of {", ".join(sorted(found))}')
    return found[framework]


def train(config: Path, data: Path, work_dir: Path, seed: int, progress: ProgressHook) -> Runner:
    """Train the model of a config on a shapes data set; returns the runner when it is done."""
    cfg = Config.fromfile(config)
    cfg.launcher = 'none'
    cfg.work_dir = str(work_dir)
    cfg.visualizer.name = str(work_dir)  # mmengine hands out an earlier run's of the same name
    cfg.log_level = 'WARNING'  # the progress bar says enough
    cfg.randomness = dict(seed=seed)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        inner = loader.dataset.get('dataset', loader.dataset)
        inner.data_root = str(data)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        if 'ann_file' in evaluator:  # COCO's reads the ground truth itself
            evaluator.ann_file = str(data / 'annotations' / 'val.json')
    adapt_to_device(cfg)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(progress)
    try:
        runner.train()
    finally:
        progress.bar.stop()
    return runner


def run(config: Path, data: Path, work_dir: Path, seed: int) -> dict[str, float]:
    """Train, evaluate, draw, and print where everything is.

    Args:
        config: A model for the shapes data set; its ``shown_metrics`` are titles by metrics' keys.
        data: The data set.
        work_dir: Folder of the checkpoint and the pictures.
        seed: Of the training.

    Returns:
        The last validation's results, from 0 to 1, by their titles.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    hook = ProgressHook()
    print('reading the data, building the model', flush=True)
    output = work_dir / 'output.log'
    with open(output, 'w') as file, redirect_stdout(file), redirect_stderr(file):
        runner = train(config, data, work_dir, seed, hook)
        predictions, curves = work_dir / 'predictions.png', work_dir / 'curves.png'
        draw_predictions(runner, predictions)
        scalars = Path(runner.log_dir) / 'vis_data' / 'scalars.json'
        draw_curves(scalars, runner.cfg.shown_metrics, curves)
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    images = len(runner.val_dataloader.dataset)
    for title, value in hook.results.items():
        print(f'{title}: {value:.3f} on {images} validation images')
    print(f'checkpoint: {checkpoint}')
    print(f'pictures: {predictions} and {curves}')
    return hook.results
