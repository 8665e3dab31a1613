"""The config of a distillation."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmcednet.visualization.losses import LossCurveHook

from .teacher import IMAGENET_MEAN, IMAGENET_STD

CHECKPOINTS = 20  # that a training saves, of which the last one is kept
MIN_INTERVAL = 50  # iterations between two of them
LOG_INTERVAL = 10  # iterations
WARMUP = 0.05  # of the iterations


def build_config(
    backbone: dict,
    teacher: str,
    folders: Sequence[Path],
    work_dir: Path,
    iterations: int,
    batch_size: int,
    size: int,
    teacher_scale: float,
    lr: float,
) -> Config:
    """Build the config of a distillation, for ``prepare_runner``.

    Args:
        backbone: Config of the CEDNet that learns.
        teacher: As for :func:`build_teacher`.
        folders: Folders of images, read with their subfolders.
        work_dir: Folder of checkpoints and logs.
        iterations: Length of the training.
        batch_size: Images per batch of each process.
        size: Side of the square crops in px.
        teacher_scale: Factor by which the teacher's images are enlarged.
        lr: Learning rate, after the warm-up; it decreases to 0 along a cosine.
    """
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.35, 1.0)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
    datasets = [
        dict(type='CustomDataset', data_root=str(path), with_label=False, pipeline=pipeline)
        for path in folders
    ]
    warmup = int(WARMUP * iterations)
    schedule = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False, begin=warmup, end=iterations)]
    if warmup > 1:  # mmengine's reaches the rate at the second iteration at the earliest
        schedule.insert(0, dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warmup))
    interval = max(MIN_INTERVAL, iterations // CHECKPOINTS)
    return Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(work_dir),
            model=dict(
                type='FeatureDistillation',
                backbone=backbone,
                teacher=teacher,
                teacher_scale=teacher_scale,
                data_preprocessor=dict(
                    type='ImgDataPreprocessor', mean=IMAGENET_MEAN, std=IMAGENET_STD, bgr_to_rgb=True
                ),
            ),
            train_dataloader=dict(
                batch_size=batch_size,
                num_workers=2,
                persistent_workers=True,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(type='ConcatDataset', datasets=datasets),
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations),
            optim_wrapper=dict(
                type='AmpOptimWrapper',
                loss_scale='dynamic',
                optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.99), weight_decay=0.05),
                paramwise_cfg=dict(flat_decay_mult=0.0),
                clip_grad=dict(max_norm=10),
            ),
            param_scheduler=schedule,
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=LOG_INTERVAL),
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=interval, max_keep_ckpts=1
                ),
            ),
            custom_hooks=[dict(type=LossCurveHook.__name__, interval=interval)],
            log_processor=dict(by_epoch=False),
            # a teacher without some levels leaves a part of the last stage without gradients
            find_unused_parameters=True,
            randomness=dict(seed=0),
            launcher='none',
        )
    )
