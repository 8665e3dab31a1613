"""CEDNet in existing configs: what is chosen for which backbone, neck and heads."""

import re

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS

from mmcednet.use_cednet.config import plan_config, use_cednet

ARCH = dict(channels=(8, 16, 24, 32), blocks=(1, 1, 1, 1), num_stages=3)
RESNET = dict(type='ResNet', depth=18, base_channels=4)  # 4, 8, 16, 32 channels
CHANNELS = [4, 8, 16, 32]
RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def make_fpn(**settings):
    return dict(type='FPN', in_channels=CHANNELS, out_channels=20, **settings)


def plan(scope='mmdet', other=None, **model):
    model.setdefault('type', 'Detector')
    model.setdefault('backbone', dict(RESNET))
    cfg = Config(dict(default_scope=scope, model=model, **(other or {})))
    return plan_config(cfg, dict(arch=dict(ARCH))).settings


def plan_model(scope='mmdet', **model):
    new = plan(scope, **model)['model']
    backbone = dict(new.pop('backbone'))
    assert (
        backbone.pop('_delete_') and backbone.pop('type') == 'CEDNet' and backbone.pop('arch') == ARCH
    )
    return backbone, new


@pytest.mark.parametrize(
    ('neck', 'levels'),
    [
        (make_fpn(num_outs=5), (2, 3, 4, 5, 6)),
        (make_fpn(num_outs=5, start_level=1, add_extra_convs='on_output'), (3, 4, 5, 6, 7)),
        (make_fpn(num_outs=4), (2, 3, 4, 5)),
        (make_fpn(num_outs=3, start_level=1), (3, 4, 5)),
        (dict(type='PAFPN', in_channels=CHANNELS, out_channels=20, num_outs=5), (2, 3, 4, 5, 6)),
        (
            dict(type='FPN_CARAFE', in_channels=CHANNELS, out_channels=20, num_outs=5, start_level=0),
            (2, 3, 4, 5, 6),  # runs on a GPU only
        ),
    ],
)
def test_pyramid_replaces_a_neck_that_fuses(neck, levels):
    backbone, parts = plan_model(neck=neck)
    assert backbone == dict(pyramid=dict(levels=levels, channels=20))
    assert parts == dict(neck=None)


def test_channel_mapper_of_several_levels_is_replaced():
    mapper = dict(
        type='ChannelMapper', in_channels=CHANNELS[1:], kernel_size=1, out_channels=20, num_outs=4
    )
    backbone, parts = plan_model(backbone=dict(RESNET, out_indices=(1, 2, 3)), neck=mapper)
    assert backbone == dict(pyramid=dict(levels=(3, 4, 5, 6), channels=20))
    assert parts == dict(neck=None)


def test_necks_after_the_pyramid_remain():
    bfp = dict(type='BFP', in_channels=20, num_levels=5, refine_level=2)
    _, parts = plan_model(neck=[make_fpn(num_outs=5), bfp])
    assert parts == dict(neck=[bfp])


@pytest.mark.parametrize(
    'neck',
    [
        dict(type='ChannelMapper', in_channels=[32], kernel_size=1, out_channels=20, num_outs=1),
        dict(
            type='DilatedEncoder',
            in_channels=32,
            out_channels=20,
            block_mid_channels=8,
            num_residual_blocks=2,
            block_dilations=[2, 4],
        ),
    ],
)
def test_neck_on_c5_remains(neck):
    in_channels = [32] if isinstance(neck['in_channels'], list) else 32
    backbone, parts = plan_model(backbone=dict(RESNET, out_indices=(3,)), neck=neck)
    assert backbone == dict(out_levels=(5,), final_decoder=False)
    assert parts == dict(neck=dict(in_channels=in_channels))


def test_neck_keeps_its_own_order_of_levels():
    neck = dict(type='YOLOV3Neck', num_scales=3, in_channels=[32, 16, 8], out_channels=[16, 8, 4])
    backbone = dict(RESNET, out_indices=(1, 2, 3))
    found, parts = plan_model(backbone=backbone, neck=neck)
    assert found == dict(out_levels=(3, 4, 5))
    assert parts == dict(neck=dict(in_channels=[32, 24, 16]))


def test_heads_that_take_what_passes_through_the_neck():
    """FastFCN's JPU returns the backbone's first levels, and a new one in place of the last."""
    found, parts = plan_model(
        'mmseg',
        backbone=dict(RESNET, out_indices=(1, 2, 3)),
        neck=dict(type='JPU', in_channels=(8, 16, 32), mid_channels=10),
        decode_head=dict(type='EncHead', in_channels=[8, 16, 40], in_index=(0, 1, 2)),
        auxiliary_head=dict(type='FCNHead', in_channels=16, in_index=1),
    )
    assert found == dict(out_levels=(3, 4, 5))
    assert parts == dict(
        neck=dict(in_channels=(16, 24, 32)),
        decode_head=dict(in_channels=[16, 24, 40]),
        auxiliary_head=dict(in_channels=24, in_index=1),
    )


def test_heads_on_raw_levels():
    backbone, parts = plan_model(panoptic_head=dict(type='Mask2FormerHead', in_channels=CHANNELS))
    assert backbone == {}
    assert parts == dict(panoptic_head=dict(in_channels=[8, 16, 24, 32]))


def test_upernet_has_the_auxiliary_head_on_an_earlier_stage():
    """As configs/_base_/models/upernet.py, which is the paper's."""
    backbone, parts = plan_model(
        'mmseg',
        pretrained='open-mmlab://resnet18_v1c',
        decode_head=dict(type='UPerHead', in_channels=CHANNELS, in_index=[0, 1, 2, 3]),
        auxiliary_head=dict(type='FCNHead', in_channels=16, in_index=2),
    )
    assert backbone == dict(aux_stages=True)
    assert parts == dict(
        pretrained=None,
        decode_head=dict(in_channels=[8, 16, 24, 32]),
        auxiliary_head=dict(in_channels=16, in_index=4),
    )


DILATED = dict(RESNET, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))


def test_dilated_backbone_becomes_level_3_of_the_stages():
    backbone, parts = plan_model(
        'mmseg',
        backbone=DILATED,
        decode_head=dict(
            type='DepthwiseSeparableASPPHead', in_channels=32, in_index=3, c1_in_channels=4
        ),
        auxiliary_head=dict(type='FCNHead', in_channels=16, in_index=2),
    )
    assert backbone == dict(out_levels=(2, 3), aux_stages=True)
    assert parts == dict(
        decode_head=dict(in_channels=16, in_index=1, c1_in_channels=8),
        auxiliary_head=dict(in_channels=16, in_index=2),
    )


def test_head_on_several_features_of_a_dilated_backbone():
    backbone, parts = plan_model(
        'mmseg',
        backbone=DILATED,
        decode_head=dict(type='EncHead', in_channels=[8, 16, 32], in_index=(1, 2, 3)),
    )
    assert backbone == dict(out_levels=(3,), aux_stages=True)
    assert parts == dict(decode_head=dict(in_channels=[16, 16, 16], in_index=[2, 1, 0]))


def test_head_without_convolutions_has_the_channels_of_its_input():
    head = dict(type='FCNHead', in_channels=32, channels=32, num_convs=0, in_index=3)
    _, parts = plan_model('mmseg', decode_head=head)
    assert parts == dict(decode_head=dict(in_channels=32, channels=32, in_index=0))


def test_levels_that_pass_through_the_neck_of_ssd():
    neck = dict(
        type='SSDNeck',
        in_channels=(8, 16),
        out_channels=(8, 16, 12),
        level_strides=(2,),
        level_paddings=(1,),
    )
    found, parts = plan_model(
        backbone=dict(RESNET, out_indices=(1, 2)),
        neck=neck,
        bbox_head=dict(type='SSDHead', in_channels=(8, 16, 12)),
    )
    assert found == dict(out_levels=(3, 4))
    assert parts == dict(
        neck=dict(in_channels=(16, 24), out_channels=(16, 24, 12)),
        bbox_head=dict(in_channels=[16, 24, 12]),
    )


def test_level_4_alone_leaves_parameters_unused():
    """Then data-parallel training needs find_unused_parameters."""
    head = dict(type='SegmenterMaskTransformerHead', in_channels=16)
    settings = plan('mmseg', backbone=dict(RESNET, out_indices=(2,)), decode_head=head)
    assert settings['model']['backbone']['out_levels'] == (4,)
    assert settings['find_unused_parameters']
    for indices, in_channels in (((1, 2), CHANNELS[1:3]), ((3,), 32), ((0, 3), [4, 32])):
        head = dict(type='Head', in_channels=in_channels)
        settings = plan('mmseg', backbone=dict(RESNET, out_indices=indices), decode_head=head)
        assert 'find_unused_parameters' not in settings
        backbone = {k: v for k, v in settings['model']['backbone'].items() if k != '_delete_'}
        model = MODELS.build(backbone)
        sum(out.sum() for out in model(torch.rand(1, 3, 64, 64))).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


def test_list_of_heads_is_written_in_full():
    heads = [
        dict(type='FCNHead', in_channels=CHANNELS, in_index=(0, 1, 2, 3), num_classes=3),
        dict(type='OCRHead', in_channels=CHANNELS, in_index=(0, 1, 2, 3), num_classes=3),
    ]
    _, parts = plan_model('mmseg', decode_head=heads)
    assert parts['decode_head'] == [dict(head, in_channels=[8, 16, 24, 32]) for head in heads]


@pytest.mark.parametrize('neck', [None, dict(type='GlobalAveragePooling')])
def test_classifier(neck):
    backbone = dict(RESNET, out_indices=(3,))
    if neck is None:  # a transformer's head takes vectors
        backbone = dict(
            type='VisionTransformer',
            arch=dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=32),
            img_size=64,
            patch_size=16,
        )
    found, parts = plan_model(
        'mmpretrain', backbone=backbone, neck=neck, head=dict(type='LinearClsHead', in_channels=32)
    )
    assert found == dict(out_levels=(5,), final_decoder=False)
    pooling = dict(neck=dict(_delete_=True, type='GlobalAveragePooling')) if neck is None else {}
    assert parts == dict(pooling, head=dict(in_channels=32))


def test_detector_in_another_model():
    detector = dict(type='FasterRCNN', backbone=dict(RESNET), neck=make_fpn(num_outs=5))
    cfg = Config(dict(default_scope='mmdet', model=dict(type='SoftTeacher', detector=detector)))
    new = plan_config(cfg, dict(arch=ARCH)).settings['model']
    assert new['detector']['backbone']['pyramid']['levels'] == (2, 3, 4, 5, 6)
    assert new['detector']['neck'] is None


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (
            dict(mean=[103.53, 116.28, 123.675], std=[1, 1, 1], bgr_to_rgb=False),
            dict(RGB, bgr_to_rgb=True),
        ),
        (dict(RGB, bgr_to_rgb=True), None),
        (dict(RGB, bgr_to_rgb=False), dict(RGB, bgr_to_rgb=True)),
        (dict(), dict(RGB, bgr_to_rgb=True)),  # YOLOX
        (dict(mean=[0.5], std=[0.5]), None),  # grey images
    ],
)
def test_normalization_of_the_weights(old, new):
    preprocessor = dict(type='DetDataPreprocessor', **old)
    settings = plan(neck=make_fpn(num_outs=5), data_preprocessor=preprocessor)
    assert settings['model'].get('data_preprocessor') == new


def test_images_with_more_channels():
    backbone, _ = plan_model(backbone=dict(RESNET, in_channels=6), neck=make_fpn(num_outs=5))
    assert backbone['in_channels'] == 6


def test_training_settings_of_the_old_backbone_are_replaced():
    settings = plan(
        neck=make_fpn(num_outs=5),
        other=dict(
            custom_imports=dict(imports='mmpretrain.models'),
            optim_wrapper=dict(constructor='LearningRateDecayOptimizerConstructor'),
            load_from='detector.pth',
        ),
    )
    assert settings['custom_imports'] == dict(imports=['mmpretrain.models', 'mmcednet'])
    assert settings['optim_wrapper'] == dict(
        constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None
    )
    assert settings['load_from'] is None


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (dict(backbone=None), 'the model, Detector, needs a backbone that is a part of its own'),
        (dict(backbone=dict(type='CEDNet')), 'the backbone is CEDNet already'),
        (dict(backbone=dict(type='TridentResNet')), 'cannot replace TridentResNet: its three branches'),
        (dict(backbone=dict(type='Absent')), 'Absent cannot be built here: KeyError'),
        (dict(rpn_head=dict(type='RPNHead')), 'the RPN and the RoI heads take stride 4, 8, 16, 32'),
        (dict(), 'no head states with in_channels which features of ResNet it takes'),
        (
            dict(head=dict(type='Head', in_channels=99)),
            r'Head has in_channels=99, but the features have \[32\] channels',
        ),
        (
            dict(
                backbone=dict(RESNET, strides=(1, 1, 1, 1)),
                head=dict(type='Head', in_channels=CHANNELS),
            ),
            r'the heads take several features of the same stride, 4, 4, 4, 4, of ResNet',
        ),
    ],
)
def test_why_not(model, message):
    with pytest.raises(ValueError, match=message):
        plan(**model)


def test_written_config_is_short_and_resolves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').mkdir()
    base = tmp_path / 'configs' / 'base.py'
    model = dict(type='RetinaNet', backbone=RESNET, neck=make_fpn(num_outs=5))
    base.write_text(f'default_scope = "mmdet"\nmodel = {model!r}\n')
    out = tmp_path / 'my' / 'cednet.py'
    cfg = use_cednet('configs/base.py', out, 'r50_t', style='unet', mixer='dwconv')
    assert cfg.model.to_dict() == dict(
        type='RetinaNet',
        backbone=dict(
            type='CEDNet',
            arch='r50_t',
            style='unet',
            mixer='dwconv',
            pyramid=dict(levels=(2, 3, 4, 5, 6), channels=20),
        ),
        neck=None,
    )
    text = out.read_text()
    assert text.startswith(
        '# CEDNet in place of ResNet and FPN, by mmcednet use-cednet. It starts from random weights'
    )
    assert "_base_ = '../configs/base.py'" in text and len(text.splitlines()) < 20
    assert isinstance(Config.fromfile(out).model, ConfigDict)


@pytest.mark.parametrize(
    ('text', 'arguments', 'message'),
    [
        (None, {}, 'config {base} does not exist'),
        ('model = ', {}, 'config {base} does not load: '),
        ('optimizer = None', {}, '{base}: it has no model; a model needs a backbone'),
        (
            'default_scope = "mmocr"\nmodel = dict(backbone=dict(type="X"))',
            {},
            '{base}: its default_scope is',
        ),
        (
            'from mmdet.models.backbones import ResNet\ndefault_scope = "mmdet"\n'
            'model = dict(backbone=dict(type=ResNet, depth=18, base_channels=4), '
            f'neck={make_fpn(num_outs=5)})',  # a pure Python config, which has no _base_
            {},
            'is in pure Python, .* add to its end: from mmcednet import CEDNet; ',
        ),
        (
            f'default_scope = "mmdet"\nmodel = dict(backbone={RESNET}, neck={make_fpn(num_outs=5)})',
            dict(arch='huge'),
            '{base}: arch .*huge',
        ),
    ],
)
def test_errors_write_nothing(text, arguments, message, tmp_path):
    base = tmp_path / 'base.py'
    if text is not None:
        base.write_text(text)
    with pytest.raises(ValueError, match=message.replace('{base}', re.escape(str(base)))):
        use_cednet(str(base), tmp_path / 'out' / 'my.py', **arguments)
    assert not list(tmp_path.glob('out/*'))
