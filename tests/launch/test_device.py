"""Configs adapted to the device."""

import pytest
import torch
from mmengine.config import Config

from mmcednet.launch import config, device


@pytest.fixture
def cfg(root):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')
    cfg.launcher = 'none'
    return cfg


def test_without_a_gpu_training_is_in_float32(cfg, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    config.enable_amp(cfg)
    device.adapt_to_device(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'loss_scale' not in cfg.optim_wrapper
    assert cfg.optim_wrapper.optimizer.lr == 1e-4


@pytest.mark.parametrize('compiled', ['13.0', 'not available'])
def test_with_a_gpu_mmcv_needs_cuda_operators(cfg, monkeypatch, compiled):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(device, 'get_compiling_cuda_version', lambda: compiled)
    if compiled == 'not available':
        with pytest.raises(ValueError, match='mmcv was compiled without CUDA'):
            device.adapt_to_device(cfg)
    else:
        device.adapt_to_device(cfg)
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper'


def test_without_gpus_sync_bn_becomes_bn(root, monkeypatch):
    cfg = Config.fromfile(root / 'configs' / 'cascade_mask_rcnn' / 'cednet_t.py')
    cfg.update(launcher='pytorch', sync_bn='torch')
    assert 'SyncBN' in str(cfg.model)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    device.adapt_to_device(cfg)
    assert 'SyncBN' not in str(cfg.model)
    assert "'BN'" in str(cfg.model)
    assert cfg.sync_bn is None
