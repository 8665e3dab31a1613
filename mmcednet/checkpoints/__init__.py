"""Checkpoints: loaded without running code, saved so that a kill spoils none, resumed, published."""

from . import safetensors_reader, shipped
from .saving import SafeCheckpointHook, write_atomically

__all__ = ['SafeCheckpointHook', 'safetensors_reader', 'shipped', 'write_atomically']
