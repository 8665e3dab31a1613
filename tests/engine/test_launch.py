"""Configs adapted to the device; warnings at the start of a run."""

import datetime
import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmcednet.engine import config, launch
from mmcednet.models import CEDNet


@pytest.fixture
def cfg(root):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')
    cfg.launcher = 'none'
    return cfg


def test_without_a_gpu_training_is_in_float32(cfg, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    config.enable_amp(cfg)
    launch.adapt_to_device(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'loss_scale' not in cfg.optim_wrapper
    assert cfg.optim_wrapper.optimizer.lr == 1e-4


@pytest.mark.parametrize('compiled', ['13.0', 'not available'])
def test_with_a_gpu_mmcv_needs_cuda_operators(cfg, monkeypatch, compiled):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(launch, 'get_compiling_cuda_version', lambda: compiled)
    if compiled == 'not available':
        with pytest.raises(ValueError, match='mmcv was compiled without CUDA'):
            launch.adapt_to_device(cfg)
    else:
        launch.adapt_to_device(cfg)
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper'


def test_without_gpus_sync_bn_becomes_bn(root, monkeypatch):
    cfg = Config.fromfile(root / 'configs' / 'cascade_mask_rcnn' / 'cednet_t.py')
    cfg.update(launcher='pytorch', sync_bn='torch')
    assert 'SyncBN' in str(cfg.model)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    launch.adapt_to_device(cfg)
    assert 'SyncBN' not in str(cfg.model)
    assert "'BN'" in str(cfg.model)
    assert cfg.sync_bn is None


@pytest.mark.parametrize('seconds', [None, 40])
def test_the_timeout_of_gpus_is_that_of_cpus_too(cfg, monkeypatch, seconds):
    calls = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda *args, **kwargs: calls.append((args, kwargs))
    )
    cfg.launcher = 'pytorch'
    cfg.env_cfg.dist_cfg.timeout = seconds
    launch.init_process_group(cfg)
    settings = {} if seconds is None else dict(timeout=datetime.timedelta(seconds=40))
    assert calls == [(('gloo',), settings)]


@pytest.mark.parametrize(
    ('restarts', 'allowed', 'nodes', 'expected'),
    [(0, 0, 1, False), (0, 3, 1, False), (1, 3, 1, True), (0, 0, 2, False), (0, 3, 2, True)],
)
def test_restarts_are_found(monkeypatch, restarts, allowed, nodes, expected):
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', str(restarts))
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', str(allowed))
    monkeypatch.setenv('GROUP_WORLD_SIZE', str(nodes))
    assert launch.is_restarted() == expected


def test_without_torchrun_nothing_is_restarted():
    assert not launch.is_restarted()


WARNING = 'The backbone starts from random weights'


@pytest.fixture
def warnings(monkeypatch):
    found = []

    def keep(text, logger=None, level=logging.INFO):
        if level == logging.WARNING:
            found.append(text)

    monkeypatch.setattr(launch, 'print_log', keep)
    return found


def build_runner(root, shapes, tmp_path, **settings):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    cfg.train_dataloader.dataset.data_root = str(shapes)
    cfg.update(val_dataloader=None, val_evaluator=None, val_cfg=None)
    for key, value in settings.items():
        cfg[key] = value  # update would merge dicts
    cfg.update(test_dataloader=None, test_evaluator=None, test_cfg=None, work_dir=str(tmp_path))
    return Runner.from_cfg(cfg)


def test_random_weights_of_a_detector_are_reported(root, shapes, tmp_path, warnings):
    launch.warn_about_random_weights(build_runner(root, shapes, tmp_path))
    assert [text[: len(WARNING)] for text in warnings] == [WARNING]


@pytest.mark.parametrize(
    ('backbone', 'reported'),
    [
        (dict(type='RevCol', channels=(8, 16, 32, 64), num_columns=2), True),
        (dict(type='SpaceToDepthChain', channels=(8, 16, 32, 64)), False),  # as published
    ],
)
def test_other_networks_need_weights_if_published_ones_do(
    backbone, reported, root, shapes, tmp_path, warnings
):
    model = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py').model
    model.backbone = backbone
    model.neck = dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=48, num_outs=5)
    launch.warn_about_random_weights(build_runner(root, shapes, tmp_path, model=model))
    assert bool(warnings) == reported


def test_weights_of_pretrained_arrive_and_are_not_reported(root, shapes, tmp_path, warnings):
    source = build_runner(root, shapes, tmp_path).model.backbone
    assert isinstance(source, CEDNet)
    weights = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    config.set_pretrained(cfg, str(tmp_path / 'weights.pth'))
    runner = build_runner(root, shapes, tmp_path, model=cfg.model)
    runner.model.init_weights()  # as the runner does before the first iteration
    for key, value in runner.model.backbone.state_dict().items():
        assert torch.equal(value, weights[f'backbone.{key}'])
    launch.warn_about_random_weights(runner)
    assert warnings == []


def test_weights_of_a_whole_detector_are_not_reported(root, shapes, tmp_path, warnings):
    launch.warn_about_random_weights(build_runner(root, shapes, tmp_path, load_from='detector.pth'))
    assert warnings == []


def test_resuming_without_a_checkpoint_starts_from_random_weights(root, shapes, tmp_path, warnings):
    launch.warn_about_random_weights(build_runner(root, shapes, tmp_path, resume=True))
    assert [text[: len(WARNING)] for text in warnings] == [WARNING]


def test_other_batch_sizes_are_reported(root, shapes, tmp_path, warnings):
    scaling = dict(enable=False, base_batch_size=64)
    launch.warn_about_batch_size(build_runner(root, shapes, tmp_path, auto_scale_lr=scaling))
    assert 'but the learning rate is for 64' in warnings[0]
    scaling['enable'] = True
    launch.warn_about_batch_size(build_runner(root, shapes, tmp_path, auto_scale_lr=scaling))
    assert len(warnings) == 1
