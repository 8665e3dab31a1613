"""The config of a distillation."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.images import IMAGE_SUFFIXES
from mmcednet.visualization.losses import LossCurveHook

from .teacher import IMAGENET_MEAN, IMAGENET_STD

CHECKPOINTS = 20  # that a training saves, of which the last one is kept
MIN_INTERVAL = 50  # iterations between two of them
LOG_INTERVAL = 10  # iterations
WARMUP = 0.05  # of the iterations


def count_images(folders: Sequence[Path]) -> int:
    """Count the images of folders and their subfolders.

    Raises:
        ValueError: A folder does not exist, or neither it nor a subfolder has a file that ends in one
            of ``IMAGE_SUFFIXES``.
    """
    total = 0
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f'the image folder {folder} does not exist')
        files = (file for _, _, files in os.walk(folder, followlinks=True) for file in files)
        number = sum(file.lower().endswith(IMAGE_SUFFIXES) for file in files)
        if not number:
            raise ValueError(
                f'the image folder {folder} has no files that end in one of: '
                f'{", ".join(IMAGE_SUFFIXES)}'
            )
        total += number
    return total


def warn_about_few_images(number: int, batch_size: int) -> None:
    """Log a warning if there are fewer images than are in a batch."""
    if number < batch_size:
        print_log(
            f'--batch-size {batch_size} is more than the {number} images: each batch has some of them '
            f'several times',
            'current',
            logging.WARNING,
        )


def check_length(cfg: Config) -> None:
    """Check that a distillation that is resumed has as many iterations as when it was started.

    Its checkpoint brings its learning rates along, which end at 0 after that many.

    Args:
        cfg: Its config; ``load_from`` is the checkpoint.

    Raises:
        ValueError: It has more or fewer.
    """
    before = load_checkpoint(cfg.load_from)['message_hub']['runtime_info']['max_iters']
    if before != cfg.train_cfg.max_iters:
        raise ValueError(
            f'the distillation in {cfg.work_dir} has {before} iterations, '
            f'not {cfg.train_cfg.max_iters}: choose another --work-dir, or --iterations {before} to '
            f'resume it'
        )


def build_config(model: dict, dataloader: dict, iterations: int, lr: float, work_dir: Path) -> Config:
    """Build the config of a distillation, for ``prepare_runner``.

    Args:
        model: What :func:`build_model` returns.
        dataloader: What :func:`build_dataloader` returns.
        iterations: Length of the training.
        lr: Learning rate, after the warm-up; it decreases to 0 along a cosine.
        work_dir: Folder of checkpoints and logs.
    """
    interval = max(MIN_INTERVAL, iterations // CHECKPOINTS)
    checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=interval, max_keep_ckpts=1)
    return Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(work_dir),
            model=model,
            train_dataloader=dataloader,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations),
            optim_wrapper=dict(
                type='AmpOptimWrapper',
                loss_scale='dynamic',
                optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.99), weight_decay=0.05),
                paramwise_cfg=dict(flat_decay_mult=0.0),
                clip_grad=dict(max_norm=10),
            ),
            param_scheduler=build_schedule(iterations),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=LOG_INTERVAL), checkpoint=checkpoint
            ),
            custom_hooks=[dict(type=LossCurveHook.__name__, interval=interval)],
            log_processor=dict(by_epoch=False),
            # a teacher without some levels leaves a part of the last stage without gradients
            find_unused_parameters=True,
            randomness=dict(seed=0),
            launcher='none',
        )
    )


def build_model(backbone: dict, teacher: str, size: int, teacher_scale: float) -> dict:
    """The config of the model.

    Args:
        backbone: Config of the CEDNet that learns.
        teacher: As for :func:`build_teacher`.
        size: Side of the images in px.
        teacher_scale: Factor by which the teacher's images are enlarged.
    """
    return dict(
        type='FeatureDistillation',
        backbone=backbone,
        teacher=teacher,
        size=size,
        teacher_scale=teacher_scale,
        data_preprocessor=dict(
            type='ImgDataPreprocessor', mean=IMAGENET_MEAN, std=IMAGENET_STD, bgr_to_rgb=True
        ),
    )


def build_dataloader(folders: Sequence[Path], batch_size: int, size: int) -> dict:
    """The config of the data.

    Args:
        folders: Folders of images, read with their subfolders.
        batch_size: Images per batch of each process.
        size: Side of the square crops in px.
    """
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.35, 1.0)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
    datasets = [
        dict(
            type='CustomDataset',
            data_root=str(path),
            with_label=False,
            extensions=IMAGE_SUFFIXES,
            pipeline=pipeline,
        )
        for path in folders
    ]
    return dict(
        batch_size=batch_size,
        num_workers=2,
        persistent_workers=True,
        # every batch is full, as targets are normalised over it
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=dict(type='ConcatDataset', datasets=datasets),
    )


def build_schedule(iterations: int) -> list[dict]:
    """The learning rate's warm-up and decrease."""
    warmup = int(WARMUP * iterations)
    decrease = dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=warmup, end=iterations)
    if warmup < 2:  # mmengine's reaches the rate at the second iteration at the earliest
        return [decrease]
    return [dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warmup), decrease]
