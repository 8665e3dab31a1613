"""Checkpoints: loaded without running code, saved so that a kill spoils none, resumed, published."""

from . import safetensors_reader
from .saving import SafeCheckpointHook, write_atomically

__all__ = ['SafeCheckpointHook', 'safetensors_reader', 'write_atomically']
