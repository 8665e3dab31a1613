"""One training: the config, the run, and what is recorded of it."""

import os
import shutil
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcednet.analysis.complexity import compute_complexity
from mmcednet.launch.config import enable_amp
from mmcednet.launch.device import adapt_to_device
from mmcednet.metrics import to_percent
from mmcednet.own_data.new_config import write_new_config

from .specs import LEVELS, NETWORKS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
WARMUP = 100  # iterations
VALIDATIONS = 4
METRICS = {'retinanet': 'coco/bbox_mAP', 'mask_rcnn': 'coco/segm_mAP', 'upernet': 'mIoU'}
NONE = 'none'  # random weights
GPU_BATCH_SIZE = 16  # on a CPU it is new_config's, 4
GPU_WORKERS = 3  # processes that load a training's images on a GPU machine
# Not 0: where an image is 0, networks whose first convolution has no bias have huge gradients
PAD_VALUE = 1.0


@dataclass(frozen=True)
class Run:
    """What determines a training.

    Attributes:
        data: Name of the dataset's folder.
        framework: A key of ``METRICS``.
        model: A key of ``NETWORKS``.
        seed: Random seed.
        iters: Number of iterations.
        lr: Learning rate.
        weight_decay: Weight decay.
        scale: Width and height in px that images are resized to; None: as tools/new_config.py.
        weights: Name of the folder of initial weights, ``NONE`` for random ones.
        device: 'cpu'; or 'cuda' for mixed precision and larger batches.
    """

    data: str
    framework: str
    model: str
    seed: int
    iters: int
    lr: float
    weight_decay: float
    scale: tuple[int, int] | None
    weights: str = NONE
    device: str = 'cpu'

    @property
    def name(self) -> str:
        size = 'x'.join(map(str, self.scale or ()))
        recipe = f'{size}-{self.device}-{self.iters}-{self.lr:g}-{self.weight_decay:g}'
        return f'{self.data}-{self.framework}-{self.model}-{self.weights}-{recipe}-{self.seed}'


class Recorder(Hook):
    """Records the losses and the metrics of the validations, with their iterations."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.losses: list[float] = []
        self.curve: list[tuple[int, float]] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        self.losses.append(outputs['loss'].item())

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        # a detector that finds nothing has no metrics
        value = float(to_percent(self.metric, metrics.get(self.metric, 0.0)))
        self.curve.append((runner.iter, round(value, 2)))


def check_device(device: str) -> None:
    """Check that there is a GPU if there should be one.

    Raises:
        ValueError: There is none.
    """
    if device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('--device cuda needs a GPU, and torch finds none; use --device cpu')


def build_config(run: Run, folder: Path, work_dir: Path, weights: Path | None = None) -> Config:
    """Build the config: that of tools/new_config.py, with the run's network and schedule.

    Args:
        run: What to train.
        folder: Folder of the dataset.
        work_dir: Folder for the config and the log.
        weights: Folder of the initial weights, the backbone's in a file of the network's name.
            Default: random weights.
    """
    path = work_dir / 'config.py'
    size = NETWORKS[run.model].size
    write_new_config(folder, run.framework, size, path, CONFIGS, 'none', run.scale)
    cfg = Config.fromfile(path)
    set_network(cfg, run)
    if weights is not None:
        cfg.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=str(weights / f'{run.model}.safetensors'), prefix='backbone.'
        )
    cfg.optim_wrapper.optimizer.update(lr=run.lr, weight_decay=run.weight_decay)
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop',
        max_iters=run.iters,
        val_interval=max(1, run.iters // VALIDATIONS),
    )
    warmup = max(2, min(WARMUP, run.iters // 4))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
        dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=run.iters, T_max=run.iters),
    ]
    cfg.log_processor = dict(by_epoch=False)
    cfg.default_hooks.checkpoint = None
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    if run.device == 'cuda':
        adapt_to_gpu(cfg)
    if 'batch_sampler' in cfg.train_dataloader:  # detectors
        # batch normalisation of NAS-FPN needs more than a single image at stride 128
        cfg.train_dataloader.batch_sampler.drop_last = True
    cfg.launcher = 'none'
    cfg.randomness = dict(seed=run.seed)
    cfg.work_dir = str(work_dir)
    cfg.visualizer.name = run.name  # unique: mmengine reuses a visualizer of the same name
    cfg.dump(path)
    return cfg


def adapt_to_gpu(cfg: Config) -> None:
    """Train with larger batches, processes that load images, and in float16.

    It is not bfloat16, as mmcv's focal loss for GPUs has no kernel for it.
    """
    cfg.train_dataloader.batch_size = GPU_BATCH_SIZE
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=GPU_WORKERS, persistent_workers=True)
    enable_amp(cfg)


def set_network(cfg: Config, run: Run) -> None:
    """Set backbone and neck, and what the heads need for them."""
    network, model = NETWORKS[run.model], cfg.model
    if run.framework == 'upernet':
        model.backbone = network.get_raw_backbone()
        channels = list(model.backbone['arch']['channels'])
        model.decode_head.in_channels = channels
        model.auxiliary_head.update(in_index=2, in_channels=channels[2])
        return
    model.backbone, model.neck = network.backbone, network.neck
    model.data_preprocessor.pad_value = PAD_VALUE  # segmenters train on crops, without padding
    head = model.bbox_head if run.framework == 'retinanet' else model.rpn_head
    head.anchor_generator.strides = [2**level for level in LEVELS]


def get_image_size(cfg: Config) -> tuple[int, int]:
    """Height and width of the images that the network gets in a test, with padding."""
    pipeline = cfg.test_dataloader.dataset.pipeline
    resize = next((step for step in pipeline if step.type == 'Resize'), None)
    width, height = resize.scale if resize else cfg.model.data_preprocessor.size
    return -(-height // 32) * 32, -(-width // 32) * 32


def train(run: Run, folder: Path, out: Path, weights: Path | None = None) -> dict[str, Any]:
    """Train, validate and test a network, on one thread of the CPU or on a GPU.

    Args:
        run: What to train.
        folder: Folder of the dataset.
        out: The run's log is in a folder of its name in ``out``.
        weights: As for :func:`build_config`.

    Returns:
        The run and its results, as JSON: metrics and ``curve`` (iteration, metric on the validation
        images) in percent, ``loss`` averaged over twentieths of the training.
    """
    if run.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    work_dir = out / run.name
    shutil.rmtree(work_dir, ignore_errors=True)  # of a run that was stopped
    work_dir.mkdir(parents=True)
    start = time.time()
    with open(work_dir / 'output.log', 'w') as log, redirect_stdout(log), redirect_stderr(log):
        cfg = build_config(run, folder, work_dir, weights)
        cost = compute_complexity(work_dir / 'config.py', get_image_size(cfg))
        adapt_to_device(cfg)
        recorder = Recorder(METRICS[run.framework])
        runner = Runner.from_cfg(cfg)
        runner.register_hook(recorder)
        runner.train()
        test = runner.test()
    step = max(1, run.iters // 20)
    losses = [recorder.losses[i : i + step] for i in range(0, run.iters, step)]
    return dict(
        asdict(run),
        params=round(cost.params, 4),
        macs=round(cost.macs, 4),
        test={key: round(float(to_percent(key, value)), 2) for key, value in test.items()},
        curve=recorder.curve,
        loss=[round(sum(part) / len(part), 4) for part in losses],
        seconds=round(time.time() - start),
        torch=torch.__version__,
    )
