"""Trainings that resume exactly and survive faults."""

from .batches import ResumableBatchSampler
from .checkpoints import SafeCheckpointHook, write_atomically
from .faults import NonFiniteLossHook, StopOnSignalHook, UnusableImagesHook, explain_faults
from .loops import ResumableEpochLoop, ResumableIterLoop
from .protect import protect_training
from .seeded_dataset import SeededDataset

__all__ = [
    'NonFiniteLossHook',
    'ResumableBatchSampler',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'SafeCheckpointHook',
    'SeededDataset',
    'StopOnSignalHook',
    'UnusableImagesHook',
    'explain_faults',
    'protect_training',
    'write_atomically',
]
