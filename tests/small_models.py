"""Checkpoints of the nano configs with random weights, for the tests of predictions."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

SHAPES = ('disc', 'square', 'triangle', 'star')


def save_random_model(config: Path, path: Path, **meta: object) -> Path:
    """Save a checkpoint of ``config`` with random weights; ``meta`` is its dataset's metainfo."""
    cfg = Config.fromfile(config)
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    content = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta) if meta else {})
    torch.save(content, path)
    return path
