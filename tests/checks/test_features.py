"""Heads that do not fit the backbone are reported before a run starts."""

from contextlib import nullcontext
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmcednet.checks import check_features


def build_detector(root, name, levels):
    cfg = Config.fromfile(root / 'configs' / name)
    cfg.model.backbone.arch = dict(channels=(8, 8, 8, 8), blocks=(1, 1, 1, 1))
    cfg.model.backbone.pyramid.levels = levels
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize(
    ('name', 'good', 'bad', 'message'),
    [
        (
            'retinanet/cednet_t.py',
            (3, 4, 5, 6, 7),
            (2, 3, 4, 5, 6),
            r'the bbox_head expects levels of strides \(8, .* backbone returns \(4, 8, 16, 32, 64\)',
        ),
        (
            'retinanet/cednet_t.py',
            (3, 4, 5, 6, 7),
            (3, 4, 5, 6),
            r'returns \(8, 16, 32, 64\); set backbone',
        ),
        ('mask_rcnn/cednet_t.py', (2, 3, 4, 5, 6), (3, 4, 5, 6, 7), 'the rpn_head expects'),
        ('cascade_mask_rcnn/cednet_t.py', (2, 3, 4, 5, 6), (2, 3, 4, 5), 'the rpn_head expects'),
        (
            'deformable_detr/cednet_t.py',
            (3, 4, 5, 6),
            (3, 4, 5),
            'num_feature_levels=4, but .* returns 3',
        ),
    ],
)
def test_levels_that_a_head_does_not_expect(root, name, good, bad, message):
    check_features(build_detector(root, name, good))
    with pytest.raises(ValueError, match=message):
        check_features(build_detector(root, name, bad))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(
                neck=dict(
                    _delete_=True,
                    type='FPN',
                    in_channels=[256, 512, 1024, 2048],
                    out_channels=256,
                    num_outs=5,
                )
            ),
            r'the neck, FPN, expects features of \[256, .*\] channels, but the backbone returns '
            r'\[256, 256, 256, 256, 256\]; set neck=None and backbone.pyramid, or neck.in_channels',
        ),
        (
            dict(
                neck=dict(
                    _delete_=True, type='ChannelMapper', in_channels=[512, 1024, 2048], out_channels=256
                )
            ),
            r'the neck, ChannelMapper, expects features of \[512, 1024, 2048\] channels',
        ),
        (
            dict(
                neck=[
                    dict(type='FPN', in_channels=[8, 8], out_channels=256, num_outs=5),
                    dict(type='DyHead', in_channels=256, out_channels=256),
                ]
            ),
            r'the neck, FPN, expects features of \[8, 8\] channels',
        ),
        (
            dict(bbox_head=dict(in_channels=48)),
            r'the bbox_head expects 48 channels on each level, .* set backbone.pyramid.channels=48',
        ),
    ],
)
def test_channels_that_a_detector_does_not_expect(root, changes, message):
    cfg = Config.fromfile(root / 'configs/retinanet/cednet_t.py')
    cfg.merge_from_dict(dict(model=changes))
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    with pytest.raises(ValueError, match=message):
        check_features(model)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'model.decode_head.in_channels': [96, 192, 384, 768]},
            r'the decode_head expects \[96, 192, 384, 768\] channels at in_index=\[0, 1, 2, 3\], but '
            r'the backbone returns \(96, 192, 352, 512, 192, 192\); set decode_head.in_channels and ',
        ),
        (
            {'model.backbone.aux_stages': False},
            r'the auxiliary_head expects 192 channels at in_index=4.*aux_stages=True',
        ),
        ({'model.backbone.out_levels': (3, 4, 5)}, 'the decode_head expects'),
    ],
)
def test_features_that_a_segmenter_does_not_expect(root, changes, message):
    cfg = Config.fromfile(root / 'configs' / 'upernet' / 'cednet_t.py')

    def build_model():
        with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
            return MODELS.build(cfg.model)

    check_features(build_model())
    cfg.merge_from_dict(changes)
    with pytest.raises(ValueError, match=message):
        check_features(build_model())


@pytest.mark.parametrize(
    ('index', 'channels', 'message'),
    [
        ([0, 1, 2], [96, 192, 352], None),
        ([0, 1, 2], [96, 192, 353], r'the decode_head expects 641 channels at in_index=\[0, 1, 2\]'),
        ([0, 7], [96, 192], r'the decode_head expects 288 channels at in_index=\[0, 7\]'),
    ],
)
def test_features_that_a_segmenter_concatenates(index, channels, message):
    head = dict(type='FCNHead', input_transform='resize_concat', in_index=index, num_convs=1)
    head |= dict(in_channels=channels, channels=8, num_classes=5)
    cfg = dict(type='EncoderDecoder', backbone=dict(type='CEDNet'), decode_head=head)
    with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
        model = MODELS.build(cfg)
    with nullcontext() if message is None else pytest.raises(ValueError, match=message):
        check_features(model)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, None),
        ({'out_levels': (3, 4, 5)}, r'the panoptic_head expects levels of strides \(4, 8, 16, 32\)'),
        (
            {'arch': 'base'},
            r'coarsest with \(512, 352, 192\) .* and \(704, 448, 256\) channels; set pano',
        ),
    ],
)
def test_levels_of_mask2former(root, changes, message):
    cfg = Config.fromfile(root / 'configs' / 'mask2former' / 'cednet_t.py')
    cfg.model.backbone.update(changes)
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    with nullcontext() if message is None else pytest.raises(ValueError, match=message):
        check_features(model)


@pytest.mark.parametrize(
    'name',
    [
        'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py',
        'maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py',
        'knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512.py',
    ],
)
def test_heads_of_other_segmenters(name):
    """They select their features in other ways."""
    cfg = Config.fromfile(Path(mmseg.__file__).parent / '.mim' / 'configs' / name)
    cfg.model.backbone = dict(type='CEDNet')
    cfg.model.pretrained = None
    widths = [96, 192, 352, 512]
    if name.startswith('knet'):
        cfg.model.decode_head.kernel_generate_head.in_channels = widths
        cfg.model.auxiliary_head.in_channels = 352
    else:
        cfg.model.decode_head.in_channels = widths
    with DefaultScope.overwrite_default_scope('mmseg'):
        check_features(MODELS.build(cfg.model))


def test_fractional_strides_of_yolact(root):
    """They are those of an image of 550 pixels, on the usual levels."""
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')
    cfg.model.backbone.arch = dict(channels=(8, 8, 8, 8), blocks=(1, 1, 1, 1))
    cfg.model.bbox_head.anchor_generator.strides = [550 / size for size in (69, 35, 18, 9, 5)]
    with DefaultScope.overwrite_default_scope('mmdet'):
        check_features(MODELS.build(cfg.model))
        cfg.model.backbone.pyramid.levels = (2, 3, 4, 5, 6)
        with pytest.raises(
            ValueError, match=r'the bbox_head expects levels of strides \(8, 16, 32, 64, 128\)'
        ):
            check_features(MODELS.build(cfg.model))


def test_levels_of_the_roi_extractor(root):
    model = build_detector(root, 'mask_rcnn/cednet_t.py', (2, 3, 4, 5, 6))
    model.roi_head.bbox_roi_extractor.featmap_strides = [8, 16, 32, 64]
    with pytest.raises(ValueError, match=r'the roi_head expects levels of strides \(8, 16, 32, 64\)'):
        check_features(model)
