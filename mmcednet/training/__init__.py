"""Trainings that resume exactly and survive faults."""

from .batches import ResumableBatchSampler
from .expected_end import ExpectedEndHook
from .fault_tolerance import make_fault_tolerant
from .faults import (
    NonFiniteLossHook,
    StopOnSignalHook,
    UnusableImagesHook,
    ZeroLossHook,
    explain_faults,
)
from .loops import ResumableEpochLoop, ResumableIterLoop
from .seeded_dataset import SeededDataset

__all__ = [
    'ExpectedEndHook',
    'NonFiniteLossHook',
    'ResumableBatchSampler',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'SeededDataset',
    'StopOnSignalHook',
    'UnusableImagesHook',
    'ZeroLossHook',
    'explain_faults',
    'make_fault_tolerant',
]
