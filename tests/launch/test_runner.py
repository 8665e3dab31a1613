"""Warnings at the start of a training."""

import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmcednet.launch import config, runner
from mmcednet.models import CEDNet
from mmcednet.training import SeededDataset

WARNING = 'The backbone starts from random weights'


@pytest.fixture
def warnings(monkeypatch):
    found = []

    def keep(text, logger=None, level=logging.INFO):
        if level == logging.WARNING:
            found.append(text)

    monkeypatch.setattr(runner, 'print_log', keep)
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
    runner.warn_about_random_weights(build_runner(root, shapes, tmp_path))
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
    runner.warn_about_random_weights(build_runner(root, shapes, tmp_path, model=model))
    assert bool(warnings) == reported


def test_weights_of_pretrained_arrive_and_are_not_reported(root, shapes, tmp_path, warnings):
    source = build_runner(root, shapes, tmp_path).model.backbone
    assert isinstance(source, CEDNet)
    weights = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    config.set_pretrained(cfg, str(tmp_path / 'weights.pth'))
    trained = build_runner(root, shapes, tmp_path, model=cfg.model)
    trained.model.init_weights()  # as the runner does before the first iteration
    for key, value in trained.model.backbone.state_dict().items():
        assert torch.equal(value, weights[f'backbone.{key}'])
    runner.warn_about_random_weights(trained)
    assert warnings == []


def test_weights_of_a_whole_detector_are_not_reported(root, shapes, tmp_path, warnings):
    runner.warn_about_random_weights(build_runner(root, shapes, tmp_path, load_from='detector.pth'))
    assert warnings == []


def test_resuming_without_a_checkpoint_starts_from_random_weights(root, shapes, tmp_path, warnings):
    runner.warn_about_random_weights(build_runner(root, shapes, tmp_path, resume=True))
    assert [text[: len(WARNING)] for text in warnings] == [WARNING]


def test_other_batch_sizes_are_reported(root, shapes, tmp_path, warnings):
    scaling = dict(enable=False, base_batch_size=64)
    runner.warn_about_batch_size(build_runner(root, shapes, tmp_path, auto_scale_lr=scaling))
    assert 'but the learning rate is for 64' in warnings[0]
    scaling['enable'] = True
    runner.warn_about_batch_size(build_runner(root, shapes, tmp_path, auto_scale_lr=scaling))
    assert len(warnings) == 1


def test_accumulated_gradients_count(root, shapes, tmp_path, warnings):
    """Batches of 8, four of which make a step of the optimizer: as a batch of 32."""
    optimizer = dict(type='SGD', lr=0.1)
    settings = dict(optim_wrapper=dict(optimizer=optimizer, accumulative_counts=4))
    for base, reported in ((32, False), (8, True)):
        scaling = dict(enable=False, base_batch_size=base)
        built = build_runner(root, shapes, tmp_path, auto_scale_lr=scaling, **settings)
        runner.warn_about_batch_size(built)
        assert bool(warnings) == reported
    assert 'The batch size is 32, but the learning rate is for 8' in warnings[0]

    scaling = dict(enable=True, base_batch_size=16)
    built = build_runner(root, shapes, tmp_path, auto_scale_lr=scaling, **settings)
    runner.count_accumulated_batches(built)
    wrapper = built.build_optim_wrapper(built.optim_wrapper)
    built.scale_lr(wrapper, built.auto_scale_lr)
    assert wrapper.param_groups[0]['lr'] == pytest.approx(0.1 * 32 / 16)
    assert built.cfg.auto_scale_lr.base_batch_size == 16  # of the config that is saved


def test_checkpoints_have_the_config_as_it_was_given(root, shapes, tmp_path):
    """What prepare_runner adds to it, for a training that tolerates faults, is in the runner only."""
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    options = dict(val_dataloader=None, val_evaluator=None, val_cfg=None, test_dataloader=None)
    cfg.merge_from_dict(options | dict(test_evaluator=None, test_cfg=None, work_dir=str(tmp_path)))
    cfg.launcher = 'none'
    cfg.train_dataloader.dataset.data_root = str(shapes)
    given = cfg.to_dict()
    prepared = runner.prepare_runner(cfg, 'train')
    prepared.save_checkpoint(str(tmp_path), 'a.pth', save_optimizer=False, save_param_scheduler=False)
    stored = torch.load(tmp_path / 'a.pth', weights_only=False)['meta']['cfg']
    assert Config.fromstring(stored, '.py').to_dict() == given
    assert Config.fromfile(tmp_path / 'cednet_nano_shapes.py').to_dict() == given
    assert isinstance(prepared.train_dataloader.dataset, SeededDataset)
