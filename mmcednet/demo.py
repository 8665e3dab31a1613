"""The demo: a very small detector trained, evaluated and drawn in a few minutes."""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import VISUALIZERS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .launch import fit_to_machine

matplotlib.use('Agg')
from matplotlib import pyplot as plt

NANO = 'cednet_nano_shapes.py'
DRAWN_IMAGES = 12
COLUMNS = 3
ENLARGED = 3
MIN_SCORE = 0.4


class ProgressHook(Hook):
    """A progress bar of the training, with the loss, and a line for each validation.

    Attributes:
        results: What the config's ``shown_metrics`` were in the last validation, by their titles.
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
        self.results = {title: metrics[key] for key, title in runner.cfg.shown_metrics.items()}
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
        evaluator.ann_file = str(data / 'annotations' / 'val.json')
    fit_to_machine(cfg)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(progress)
    try:
        runner.train()
    finally:
        progress.bar.stop()
    return runner


def draw_detections(runner: Runner, out: Path) -> None:
    """Draw validation images, each with its ground truth on the left and detections on the right."""
    dataset = runner.val_dataloader.dataset
    visualizer = VISUALIZERS.build(dict(type='DetLocalVisualizer', name='demo', line_width=2))
    visualizer.dataset_meta = dataset.metainfo
    runner.model.eval()
    pairs = []
    for index in range(min(DRAWN_IMAGES, len(dataset))):
        item = dataset[index]
        batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        with torch.no_grad():
            (result,) = runner.model.test_step(batch)
        result = result.cpu()
        image = cv2.cvtColor(cv2.imread(item['data_samples'].img_path), cv2.COLOR_BGR2RGB)
        image = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST)
        enlarge(result.gt_instances)
        enlarge(result.pred_instances)
        visualizer.add_datasample('demo', image, result, pred_score_thr=MIN_SCORE)
        halves = np.hsplit(visualizer.get_image(), 2)
        titled = [titled_image(*half) for half in zip(halves, ('ground truth', 'detections'))]
        pairs.append(np.pad(np.hstack(titled), ((0, 12), (12, 12), (0, 0)), constant_values=255))
    while len(pairs) % COLUMNS:
        pairs.append(np.full_like(pairs[0], 255))
    rows = [np.hstack(pairs[i : i + COLUMNS]) for i in range(0, len(pairs), COLUMNS)]
    save_image(out, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def enlarge(instances: InstanceData) -> None:
    """Have boxes and masks fit the enlarged image; ground truth comes in classes of its own."""
    instances.bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes) * ENLARGED
    if 'masks' in instances:
        masks = getattr(instances.masks, 'masks', instances.masks)
        instances.masks = torch.as_tensor(masks).repeat_interleave(ENLARGED, 1)
        instances.masks = instances.masks.repeat_interleave(ENLARGED, 2)


def titled_image(image: np.ndarray, title: str) -> np.ndarray:
    image = np.pad(image, ((20, 0), (2, 2), (0, 0)), constant_values=255)
    return cv2.putText(image, title, (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def save_image(out: Path, image: np.ndarray) -> None:
    unfinished = out.with_name(f'unfinished-{out.name}')
    cv2.imwrite(str(unfinished), image)
    unfinished.replace(out)


def draw_curves(log: Path, metrics: dict[str, str], out: Path) -> None:
    """Draw the loss and the metrics, titles by keys, of a training's scalars.json."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [(entry['iter'], entry['loss']) for entry in entries if 'loss' in entry]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    left.plot(*zip(*losses))
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    for key, title in metrics.items():
        values = [(entry['step'], entry[key]) for entry in entries if key in entry]
        right.plot(*zip(*values), marker='o', label=title)
    right.set(xlabel='epoch', ylabel='validation', ylim=(0, 1))
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    unfinished = out.with_name(f'unfinished-{out.name}')
    figure.savefig(unfinished, dpi=120)
    plt.close(figure)
    unfinished.replace(out)


def run(config: Path, data: Path, work_dir: Path, seed: int) -> dict[str, float]:
    """Train, evaluate, draw, and print where everything is.

    Args:
        config: A model for the shapes data set; its ``shown_metrics`` are titles by metrics' keys.
        data: The data set.
        work_dir: Folder of the checkpoint and the pictures.
        seed: Of the training.

    Returns:
        The last validation's results, by their titles.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    hook = ProgressHook()
    print('reading the data, building the model', flush=True)
    output = work_dir / 'output.log'
    with open(output, 'w') as file, redirect_stdout(file), redirect_stderr(file):
        runner = train(config, data, work_dir, seed, hook)
        detections, curves = work_dir / 'detections.png', work_dir / 'curves.png'
        draw_detections(runner, detections)
        scalars = Path(runner.log_dir) / 'vis_data' / 'scalars.json'
        draw_curves(scalars, runner.cfg.shown_metrics, curves)
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    images = len(runner.val_dataloader.dataset)
    for title, value in hook.results.items():
        print(f'{title}: {value:.3f} on {images} validation images')
    print(f'checkpoint: {checkpoint}')
    print(f'pictures: {detections} and {curves}')
    return hook.results
