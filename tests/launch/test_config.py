"""Configs edited by the options of the command lines."""

import argparse

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook

from mmcednet.launch import config


@pytest.fixture
def cfg(root):
    return Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')


def test_missing_config_is_reported():
    args = argparse.Namespace(config='absent.py', local_rank=0)
    with pytest.raises(ValueError, match=r'config absent\.py does not exist'):
        config.load_config(args)


@pytest.mark.parametrize(
    ('path', 'work_dir'),
    [
        ('configs/mask_rcnn/cednet_t.py', 'work_dirs/mask_rcnn/cednet_t'),
        ('/a/configs/b/configs/retinanet/ablation/x.py', 'work_dirs/retinanet/ablation/x'),
        ('../mine.py', 'work_dirs/mine'),
    ],
)
def test_default_work_dirs_differ_by_framework(path, work_dir):
    assert config.get_default_work_dir(path) == work_dir


def test_amp_and_auto_scale_lr_report_configs_that_do_not_support_them(cfg):
    config.enable_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable
    with pytest.raises(ValueError, match='base_batch_size'):
        config.enable_auto_scale_lr(Config(dict()))
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ValueError, match=r'--amp needs .* the config has ApexOptimWrapper'):
        config.enable_amp(cfg)


def test_pretrained_weights_of_any_backbone(cfg, root, tmp_path):
    checkpoint = tmp_path / 'weights.pth'
    with pytest.raises(ValueError, match=r'--pretrained .*weights\.pth does not exist'):
        config.set_pretrained(cfg, str(checkpoint))
    torch.save({}, checkpoint)
    config.set_pretrained(cfg, str(checkpoint))
    expected = dict(type='Pretrained', checkpoint=str(checkpoint))
    assert cfg.model.backbone.init_cfg == expected

    config.set_pretrained(cfg, 'nano')
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='mmcednet://nano')

    convnext = Config.fromfile(root / 'configs' / 'retinanet' / 'convnext_t_fpn.py')
    config.set_pretrained(convnext, 'https://example.org/weights.pth')
    assert convnext.model.backbone.init_cfg == dict(
        type='Pretrained', checkpoint='https://example.org/weights.pth', prefix='backbone.'
    )

    mmseg = Config(dict(model=dict(pretrained='open-mmlab://resnet50', backbone=dict(type='ResNet'))))
    config.set_pretrained(mmseg, str(checkpoint))
    assert mmseg.model.to_dict() == dict(
        pretrained=None, backbone=dict(type='ResNet', init_cfg=expected)
    )
    with pytest.raises(ValueError, match=r'--pretrained needs model\.backbone'):
        config.set_pretrained(Config(dict(model=dict(type='Other'))), str(checkpoint))


def test_tta_needs_a_pipeline(cfg):
    with pytest.raises(ValueError, match='--tta needs tta_model and tta_pipeline in the config'):
        config.enable_tta(cfg)


def test_tta_of_a_model_without_test_cfg():
    """Classifiers have none and do not accept one."""
    cfg = Config(
        dict(
            model=dict(type='ImageClassifier'),
            test_dataloader=dict(dataset=dict(pipeline=[])),
            tta_model=dict(type='AverageClsScoreTTA'),
            tta_pipeline=[],
        )
    )
    config.enable_tta(cfg)
    assert cfg.model.module == dict(type='ImageClassifier')


def test_saving_predictions(cfg, root, tmp_path):
    config.save_predictions(cfg, 'a.pkl')
    assert [m.type for m in cfg.test_evaluator] == ['CocoMetric', 'DumpDetResults']
    with pytest.raises(ValueError, match=r'--out a\.json must end in \.pkl'):
        config.save_predictions(cfg, 'a.json')
    cfg = Config.fromfile(root / 'configs' / 'upernet' / 'cednet_t.py')
    config.save_predictions(cfg, 'maps')
    (metric,) = cfg.test_evaluator
    assert metric.to_dict() == dict(type='IoUMetric', iou_metrics=['mIoU'], output_dir='maps')
    with pytest.raises(ValueError, match=r'--out a\.pkl must be a folder'):
        config.save_predictions(cfg, 'a.pkl')
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match='file must be a folder'):
        config.save_predictions(cfg, str(tmp_path / 'file'))


@pytest.mark.parametrize(
    ('scope', 'hook', 'expected'),
    [
        ('mmdet', 'DetVisualizationHook', dict(draw=True, test_out_dir='out')),
        ('mmseg', 'SegVisualizationHook', dict(draw=True, interval=1)),
        ('mmpretrain', 'VisualizationHook', dict(enable=True, out_dir='out')),
    ],
)
def test_visualization(scope, hook, expected):
    cfg = Config(
        dict(
            default_scope=scope,
            default_hooks=dict(visualization=dict(type=hook)),
            visualizer=dict(),
            work_dir='work',
        )
    )
    config.enable_visualization(cfg, 'out', show=False, wait_time=0)
    hook = hook.replace('Det', 'Folder')  # with the subfolders of images
    assert cfg.default_hooks.visualization.to_dict() == dict(type=hook, **expected)
    assert cfg.visualizer.get('save_dir') == ('work/out' if scope == 'mmseg' else None)


def test_visualization_needs_a_hook():
    with pytest.raises(ValueError, match="scope 'mmdet' has none"):
        config.enable_visualization(Config(dict(default_scope='mmdet')), 'out', False, 0)


@pytest.mark.parametrize(
    ('scope', 'evaluator', 'save_best', 'expected'),
    [
        ('mmdet', dict(type='CocoMetric', metric='bbox'), 'auto', 'coco/bbox_mAP'),
        ('mmdet', [dict(type='CocoMetric', metric=['bbox', 'segm'])], None, 'coco/segm_mAP'),
        ('mmseg', dict(type='IoUMetric'), None, 'mIoU'),
        ('mmpretrain', dict(type='Accuracy'), None, 'accuracy/top1'),
        ('other', dict(type='Other'), 'my/auc', 'my/auc'),
    ],
)
def test_early_stopping(scope, evaluator, save_best, expected):
    hooks = dict(checkpoint=dict(save_best=save_best))
    cfg = Config(dict(default_scope=scope, val_evaluator=evaluator, default_hooks=hooks))
    config.enable_early_stopping(cfg, 3)
    (hook,) = cfg.custom_hooks
    rule = None if save_best == expected else 'greater'  # None: by the name
    assert (hook['monitor'], hook['patience'], hook['rule']) == (expected, 3, rule)
    stop = EarlyStoppingHook(**{key: value for key, value in hook.items() if key != 'type'})
    # better by any amount, then three times not
    scores = [0.5, 0.501, 0.501, 0.4, 0.5]
    assert [stop._check_stop_condition(score)[0] for score in scores] == [False] * 4 + [True]


def test_early_stopping_needs_a_metric():
    with pytest.raises(ValueError, match='--early-stopping 0 must be at least 1'):
        config.enable_early_stopping(Config(), 0)
    with pytest.raises(ValueError, match='--early-stopping needs a validation'):
        config.enable_early_stopping(Config(), 1)
    with pytest.raises(
        ValueError, match=r'--early-stopping needs default_hooks\.checkpoint\.save_best'
    ):
        config.enable_early_stopping(Config(dict(val_evaluator=dict(type='Other'))), 1)
    voc = dict(default_scope='mmdet', val_evaluator=dict(type='VOCMetric'))
    with pytest.raises(ValueError, match='the metric to look at'):
        config.enable_early_stopping(Config(voc), 1)


def test_early_stopping_by_a_loss():
    hooks = dict(checkpoint=dict(save_best='val_loss'))
    cfg = Config(dict(val_evaluator=dict(type='Other'), default_hooks=hooks))
    config.enable_early_stopping(cfg, 2)
    stop = EarlyStoppingHook(**{k: v for k, v in cfg.custom_hooks[0].items() if k != 'type'})
    assert [stop._check_stop_condition(loss)[0] for loss in (0.5, 0.4, 0.3, 0.3)] == [False] * 4
    assert stop._check_stop_condition(0.3)[0]


def test_other_data_for_a_test(tmp_path):
    (tmp_path / 'a.json').touch()
    dataset = dict(data_root='data/', ann_file='val.json', data_prefix=dict(img='val/'))
    cfg = dict(default_scope='mmdet', test_dataloader=dict(dataset=dataset))
    cfg = Config(dict(cfg, test_evaluator=dict(type='CocoMetric', ann_file='data/val.json')))
    config.set_test_data(cfg, tmp_path / 'a.json', tmp_path)
    changed = cfg.test_dataloader.dataset
    assert (changed.data_root, changed.ann_file) == ('', str(tmp_path / 'a.json'))
    assert changed.data_prefix.img == str(tmp_path)
    assert cfg.test_evaluator.ann_file == str(tmp_path / 'a.json')
    with pytest.raises(ValueError, match=r'absent\.json does not exist'):
        config.set_test_data(cfg, tmp_path / 'absent.json', tmp_path)
    cfg.default_scope = 'mmseg'
    with pytest.raises(ValueError, match='--annotations needs the config of a detector'):
        config.set_test_data(cfg, tmp_path / 'a.json', tmp_path)
