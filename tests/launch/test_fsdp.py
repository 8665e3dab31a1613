"""FSDP: its units, and the configs that cannot be trained with it."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmcednet.checks import check_features
from mmcednet.launch import prediction
from mmcednet.launch.fsdp import wrap_ced_blocks
from mmcednet.launch.runner import build_runner, prepare_runner
from mmcednet.models import CEDNet
from mmcednet.models.blocks import MIXERS, Blocks


@pytest.mark.parametrize('mixer', MIXERS)
def test_the_blocks_of_every_mixer_are_the_units(mixer):
    arch = dict(channels=(32, 64, 160, 160), blocks=(1, 1, 2, 1), num_stages=2)
    model = nn.Sequential(CEDNet(arch, mixer=mixer), nn.Linear(2, 2))
    blocks = [block for part in model.modules() if isinstance(part, Blocks) for block in part]
    units = [part for part in model.modules() if wrap_ced_blocks(part, False, 0)]
    assert set(units) == set(blocks) != set()
    assert all(wrap_ced_blocks(part, True, 0) for part in model.modules())


def test_the_best_checkpoint_is_refused(root):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t_fsdp.py')
    cfg.launcher = 'pytorch'
    cfg.default_hooks.checkpoint.save_best = 'coco/bbox_mAP'
    with pytest.raises(ValueError, match="save_best='coco/bbox_mAP' must be None with FlexibleRunner"):
        build_runner(cfg)


def test_the_model_of_a_flexible_runner_is_checked(root, tmp_path):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    cfg.merge_from_dict({'default_hooks.checkpoint.save_best': None, 'runner_type': 'FlexibleRunner'})
    cfg.update(launcher='none', work_dir=str(tmp_path), log_level='WARNING')
    cfg.model.bbox_head.anchor_generator.strides = [8, 16, 32, 64]
    runner = build_runner(cfg)
    with pytest.raises(ValueError, match=r'the bbox_head expects levels of strides \(8, 16, 32, 64\)'):
        check_features(runner.model)


def test_predictions_of_a_flexible_runner_are_not_accelerated(root, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, 'read_processor_flags', lambda: {'avx512_bf16'})
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    cfg.merge_from_dict({'default_hooks.checkpoint.save_best': None, 'runner_type': 'FlexibleRunner'})
    cfg.update(launcher='none', work_dir=str(tmp_path), log_level='WARNING')
    cfg.test_dataloader.dataset.data_root = f'{shapes}/'
    cfg.test_evaluator.ann_file = f'{shapes}/annotations/val.json'
    with pytest.raises(ValueError, match='--amp and --cuda-graph are not for FlexibleRunner'):
        prepare_runner(cfg, 'test', amp=True)


def test_a_single_process_has_an_ordinary_runner(root, tmp_path):
    name = str(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {[name, str(root / "configs/_base_/fsdp.py")]!r}\n')
    cfg = Config.fromfile(path)
    cfg.update(launcher='none', work_dir=str(tmp_path), log_level='WARNING')
    assert type(build_runner(cfg)) is Runner
