"""Configs made ready for the machine that they run on."""

import pytest
from mmengine.config import Config

from mmcednet.engine import launch


@pytest.fixture
def cfg(root):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')
    cfg.launcher = 'none'
    return cfg


def test_without_a_gpu_training_is_in_float32(cfg, monkeypatch):
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: False)
    launch.use_amp(cfg)
    launch.adapt_to_device(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'loss_scale' not in cfg.optim_wrapper
    assert cfg.optim_wrapper.optimizer.lr == 1e-4


@pytest.mark.parametrize('compiled', ['13.0', 'not available'])
def test_with_a_gpu_the_operators_must_be_for_it(cfg, monkeypatch, compiled):
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(launch, 'get_compiling_cuda_version', lambda: compiled)
    if compiled == 'not available':
        with pytest.raises(ValueError, match='mmcv was compiled without CUDA'):
            launch.adapt_to_device(cfg)
    else:
        launch.adapt_to_device(cfg)
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper'


def test_amp_and_scaled_rates_say_what_does_not_go(cfg):
    launch.auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable
    with pytest.raises(ValueError, match='base_batch_size'):
        launch.auto_scale_lr(Config(dict()))
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ValueError, match='--amp does not go with the optim_wrapper ApexOptimWrapper'):
        launch.use_amp(cfg)


@pytest.mark.parametrize(
    ('scope', 'hook', 'expected'),
    [
        ('mmdet', 'DetVisualizationHook', dict(draw=True, test_out_dir='out')),
        ('mmseg', 'SegVisualizationHook', dict(draw=True, interval=1)),
        ('mmpretrain', 'VisualizationHook', dict(enable=True, out_dir='out')),
    ],
)
def test_drawing(scope, hook, expected):
    cfg = Config(
        dict(
            default_scope=scope,
            default_hooks=dict(visualization=dict(type=hook)),
            visualizer=dict(),
            work_dir='work',
        )
    )
    launch.draw_predictions(cfg, 'out', show=False, wait_time=0)
    assert cfg.default_hooks.visualization.to_dict() == dict(type=hook, **expected)
    assert cfg.visualizer.get('save_dir') == ('work/out' if scope == 'mmseg' else None)


def test_drawing_needs_a_hook():
    with pytest.raises(ValueError, match="scope 'mmdet' has none"):
        launch.draw_predictions(Config(dict(default_scope='mmdet')), 'out', False, 0)


def test_saving_predictions(cfg, root, tmp_path):
    launch.save_predictions(cfg, 'a.pkl')
    assert [m.type for m in cfg.test_evaluator] == ['CocoMetric', 'DumpDetResults']
    with pytest.raises(ValueError, match=r'--out a\.json must end in \.pkl'):
        launch.save_predictions(cfg, 'a.json')
    cfg = Config.fromfile(root / 'configs' / 'upernet' / 'cednet_t.py')
    launch.save_predictions(cfg, 'maps')
    (metric,) = cfg.test_evaluator
    assert metric.to_dict() == dict(type='IoUMetric', iou_metrics=['mIoU'], output_dir='maps')
    with pytest.raises(ValueError, match=r'--out a\.pkl must be a folder'):
        launch.save_predictions(cfg, 'a.pkl')
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match='file must be a folder'):
        launch.save_predictions(cfg, str(tmp_path / 'file'))


def test_augmented_tests_need_a_pipeline(cfg):
    with pytest.raises(ValueError, match='--tta needs tta_model and tta_pipeline in the config'):
        launch.use_tta(cfg)


def test_without_gpus_batch_norm_is_not_synchronised(root, monkeypatch):
    cfg = Config.fromfile(root / 'configs' / 'cascade_mask_rcnn' / 'cednet_t.py')
    cfg.update(launcher='pytorch', sync_bn='torch')
    assert 'SyncBN' in str(cfg.model)
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(launch.torch.distributed, 'init_process_group', lambda backend: None)
    launch.adapt_to_device(cfg)
    assert 'SyncBN' not in str(cfg.model)
    assert "'BN'" in str(cfg.model)
    assert cfg.sync_bn is None


@pytest.mark.parametrize(
    ('path', 'work_dir'),
    [
        ('configs/mask_rcnn/cednet_t.py', 'work_dirs/mask_rcnn/cednet_t'),
        ('/a/configs/b/configs/retinanet/ablation/x.py', 'work_dirs/retinanet/ablation/x'),
        ('../mine.py', 'work_dirs/mine'),
    ],
)
def test_work_dirs_of_frameworks_are_apart(path, work_dir):
    assert launch.default_work_dir(path) == work_dir
