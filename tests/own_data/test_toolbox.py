"""Frameworks of the toolboxes, for the classes of a dataset."""

import shutil

import pytest
import torch
from label_maps import draw_label_maps
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope

from mmcednet.own_data import duration
from mmcednet.own_data.new_config import FRAMEWORKS, read_backbone, write_new_config
from mmcednet.own_data.toolbox import find_framework, load_toolbox_model, set_num_classes


@pytest.fixture(autouse=True)
def one_step(monkeypatch):
    monkeypatch.setattr(duration, 'TIME', 0.0)


def test_atss_for_the_classes_that_are_drawn(shapes, root, tmp_path):
    folder = shutil.copytree(shapes, tmp_path / 'data')
    out = tmp_path / 'my.py'
    draft = write_new_config(folder, 'atss', 'nano', out, root / 'configs')
    cfg = Config.fromfile(out)
    assert draft.reasons[0][:3] == ('framework', 'atss', 'mmdet::atss/atss_r50_fpn_1x_coco.py')
    assert cfg.model.bbox_head.type == 'ATSSHead' and cfg.model.bbox_head.num_classes == 4
    assert cfg.model.backbone.init_cfg.checkpoint == 'mmcednet://nano'
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'  # the config's own is SGD, for batches of 16
    assert 'duration' in [row[0] for row in draft.reasons]


@pytest.mark.slow
def test_a_segmenter_of_mmseg(root, tmp_path):
    folder, out = tmp_path / 'data', tmp_path / 'my.py'
    draw_label_maps(folder, (0, 1, 2))
    write_new_config(folder, 'fcn', 'nano', out, root / 'configs')
    model = Config.fromfile(out).model
    assert model.decode_head.type == 'FCNHead' and model.decode_head.num_classes == 3
    assert model.auxiliary_head.num_classes == 3
    assert model.backbone.layer_scale == 1.0  # that of the published segmenters
    out.unlink()
    write_new_config(folder, 'fcn', 'nano', out, root / 'configs', pretrained='none')
    assert Config.fromfile(out).model.backbone.layer_scale == 1e-6


@pytest.mark.slow
def test_a_classifier_of_mmpretrain(single_shapes, root, tmp_path):
    out = tmp_path / 'my.py'
    write_new_config(single_shapes, 'resnet', 'nano', out, root / 'configs')
    model = Config.fromfile(out).model
    assert model.head.num_classes == 4 and model.backbone.type == 'CEDNet'


@pytest.mark.parametrize(
    ('framework', 'with_mask', 'adam'),
    [
        ('faster_rcnn', False, False),
        ('mask2former', True, True),
        ('deformable_detr', False, True),
        ('solov2', True, False),
    ],
)
def test_models_have_the_number_of_classes(root, framework, with_mask, adam):
    name = find_framework(framework, 'mmdet', FRAMEWORKS)
    toolbox = load_toolbox_model(name, 'mmdet', read_backbone(root / 'configs', 'nano'))
    assert (toolbox.with_mask, toolbox.optim_wrapper is not None) == (with_mask, adam)
    model = set_num_classes(toolbox.model, 3)
    init_default_scope('mmdet')
    with torch.device('meta'):
        built = MODELS.build(ConfigDict(model))
    numbers = {
        path: part.num_classes
        for path, part in built.named_modules()
        if hasattr(part, 'num_classes') and 'rpn' not in path
    }
    assert numbers and set(numbers.values()) == {3}


def test_weights_of_classes():
    heads = dict(
        rpn_head=dict(num_classes=1),
        decode_head=[dict(num_classes=80, loss_cls=dict(class_weight=[1.0] * 80 + [0.1]))],
        other=dict(num_classes=19, class_weight=[0.8, 0.9, 1.1]),
        head=dict(num_classes=1000, topk=(1, 5), assigner=dict(topk=9)),
    )
    assert set_num_classes(heads, 2) == dict(
        rpn_head=dict(num_classes=1),
        decode_head=[dict(num_classes=2, loss_cls=dict(class_weight=[1.0, 1.0, 0.1]))],
        other=dict(num_classes=2, class_weight=None),
        head=dict(num_classes=2, topk=(1,), assigner=dict(topk=9)),
    )


@pytest.mark.parametrize(
    ('framework', 'message'),
    [
        ('nothing', "framework 'nothing' is unknown; choose one of: retinanet, .*; or one of mmdet's"),
        ('pspnet', 'the data are for mmdet, pspnet is of mmseg'),
        ('mmdet::atss/nothing.py', 'config mmdet::atss/nothing.py does not exist'),
        (
            'mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py',
            'of mmseg, but the data are for',
        ),
        ('panoptic_fpn', 'trains on panoptic annotations, which folders of images do not have'),
        ('htc', 'trains on label maps beside the objects'),
        ('deepsort', 'trains on videos, which folders of images do not have'),
        ('soft_teacher', 'as its model is not a plain detector'),
        ('cornernet', 'CEDNet cannot replace HourglassNet'),
    ],
)
def test_why_not(root, framework, message):
    with pytest.raises(ValueError, match=message):
        load_toolbox_model(
            find_framework(framework, 'mmdet', FRAMEWORKS),
            'mmdet',
            read_backbone(root / 'configs', 'nano'),
        )
