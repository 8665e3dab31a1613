"""The demo: trains and evaluates a very small model in a few minutes and draws its predictions."""

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
from mmcednet.engine.metrics import to_percent

from .drawing import draw_curves, draw_prediction_grid

NANO = 'cednet_nano_shapes.py'


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
        self.task = self.bar.add_task('training', total=runner.max_iters, loss=self.loss)
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


def find_demo_config(configs: Path, framework: str) -> Path:
    """Find the demo's config for a framework: its nano config, if that defines ``shown_metrics``.

    Args:
        configs: Folder that contains one folder per framework.
        framework: Name of a framework's folder.

    Raises:
        ValueError: The framework has no such config.
    """

    def has_demo(path: Path) -> bool:
        return path.is_file() and 'shown_metrics' in Config.fromfile(path)

    config = configs / framework / NANO
    if has_demo(config):
        return config
    found = sorted(path.parent.name for path in configs.glob(f'*/{NANO}') if has_demo(path))
    raise ValueError(f'framework {framework!r} is unknown; choose one of: {", ".join(found)}')


def train(config: Path, data: Path, work_dir: Path, seed: int, progress: ProgressHook) -> Runner:
    """Train the model of a config on a dataset of shapes.

    Args:
        config: Config file.
        data: Folder of the dataset.
        work_dir: Folder for checkpoints and logs.
        seed: Random seed of the training.
        progress: Hook that shows the progress.

    Returns:
        The runner, after the last epoch.
    """
    cfg = Config.fromfile(config)
    cfg.launcher = 'none'
    cfg.work_dir = str(work_dir)
    cfg.visualizer.name = str(work_dir)  # unique: mmengine reuses a visualizer of the same name
    cfg.log_level = 'WARNING'  # the progress bar is enough
    cfg.randomness = dict(seed=seed)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        inner = loader.dataset.get('dataset', loader.dataset)
        inner.data_root = str(data)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        if 'ann_file' in evaluator:  # CocoMetric reads the ground truth from a file
            evaluator.ann_file = str(data / 'annotations' / 'val.json')
    adapt_to_device(cfg)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(progress)
    try:
        runner.train()
    finally:
        progress.bar.stop()
    return runner


def run_demo(config: Path, data: Path, work_dir: Path, seed: int) -> dict[str, float]:
    """Train, evaluate and draw a model; print its results and the paths of all outputs.

    Args:
        config: Config file for a dataset of shapes; its ``shown_metrics`` map keys to titles.
        data: Folder of the dataset.
        work_dir: Folder for the checkpoints, the log and the pictures; created if missing.
        seed: Random seed of the training.

    Returns:
        Title -> value in [0, 1] of each metric in the last validation.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    hook = ProgressHook()
    print('loading the data and building the model', flush=True)
    with open(work_dir / 'output.log', 'w') as file, redirect_stdout(file), redirect_stderr(file):
        runner = train(config, data, work_dir, seed, hook)
        predictions, curves = work_dir / 'predictions.png', work_dir / 'curves.png'
        draw_prediction_grid(runner, predictions)
        scalars = Path(runner.log_dir) / 'vis_data' / 'scalars.json'
        draw_curves(scalars, runner.cfg.shown_metrics, curves)
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    images = len(runner.val_dataloader.dataset)
    for title, value in hook.results.items():
        print(f'{title}: {value:.3f} on {images} validation images')
    print(f'checkpoint: {checkpoint}')
    print(f'pictures: {predictions} and {curves}')
    return hook.results
