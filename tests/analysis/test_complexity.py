"""Parameters and multiply-adds counted by hand."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from mmcednet.analysis.complexity import compute_complexity

BASE = """
default_scope = 'mmdet'
custom_imports = dict(imports=['mmcednet'])
backbone = dict(
    type='CEDNet',
    arch=dict(channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=1),
    final_decoder=False)
"""
RETINANET = """
model = dict(
    type='RetinaNet',
    backbone=dict(pyramid=dict(levels=(3, 4, 5), channels=5), **backbone),
    neck=None,
    bbox_head=dict(
        type='RetinaHead', num_classes=2, in_channels=5, feat_channels=5, stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[8, 16, 32])))
"""
MASK_RCNN = """
_base_ = 'mmdet::_base_/models/{base}.py'
model = dict(
    backbone=dict(
        _delete_=True, type='CEDNet',
        arch=dict(channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=1),
        pyramid=dict(levels=(2, 3, 4, 5, 6), channels=256)),
    neck=None)
default_scope = 'mmdet'
custom_imports = dict(imports=['mmcednet'])
"""
DEFORMABLE_DETR = """
_base_ = 'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py'
custom_imports = dict(imports=['mmcednet'])
model = dict(
    backbone=dict(
        _delete_=True, type='CEDNet',
        arch=dict(channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=1),
        pyramid=dict(levels=(3, 4, 5, 6), channels=256)),
    neck=None)
"""


def conv(pixels, kernel, c_in, c_out, groups=1):
    """Multiply-adds and parameters of a convolution."""
    weights = kernel**2 * c_in // groups * c_out
    return pixels * weights, weights + c_out


def linear(c_in, c_out):
    return conv(1, 1, c_in, c_out)


def count_backbone_macs(path, size):
    """Multiply-adds of the backbone alone, counted on real tensors."""
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    backbone = MODELS.build(cfg.model.backbone).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(1, 3, *size))
    return counter.get_total_flops() / 2


def test_retinanet_counted_by_hand(tmp_path):
    (tmp_path / 'tiny.py').write_text(BASE + RETINANET)
    ours = compute_complexity(tmp_path / 'tiny.py', (64, 96))
    pixels = {k: 64 * 96 // 4**k for k in range(1, 6)}

    def ced(level, c, dwconvs=1):
        parts = [conv(pixels[level], 7, c, c, groups=c)] * dwconvs
        parts += [conv(pixels[level], 1, c, 4 * c), conv(pixels[level], 1, 4 * c, c), (0, c)]
        return [*parts, *[(0, 2 * c)] * dwconvs]

    def norm(c):
        return 0, 2 * c

    parts = [conv(pixels[1], 3, 3, 32), norm(32), conv(pixels[2], 3, 32, 4), norm(4), *ced(2, 4)]
    parts += [conv(pixels[3], 2, 4, 6), norm(6), *ced(3, 6), conv(pixels[4], 2, 6, 8), norm(8)]
    parts += [*ced(4, 8), conv(pixels[5], 2, 8, 10), norm(10), *ced(5, 10, dwconvs=2)]
    for level, c in ((3, 6), (4, 8), (5, 10)):
        parts += [conv(pixels[level], 1, c, 5), norm(5)]
    macs, params = (sum(column) for column in zip(*parts))
    for level in (3, 4, 5):  # the head's weights are shared by the levels
        macs += sum(conv(pixels[level], 3, 5, c)[0] for c in (5, 5, 2, 4))
    params += sum(conv(1, 3, 5, c)[1] for c in (5, 5, 2, 4))
    assert ours.params * 1e6 == pytest.approx(params)
    assert ours.macs * 1e9 == pytest.approx(macs)


@pytest.mark.parametrize(
    ('base', 'stages', 'box_outputs'),
    [('mask-rcnn_r50_fpn', 1, 320), ('cascade-mask-rcnn_r50_fpn', 3, 4)],
)
def test_two_stage_detectors_have_1000_proposals_and_100_masks_per_stage(
    base, stages, box_outputs, tmp_path
):
    path = tmp_path / 'two_stage.py'
    path.write_text(MASK_RCNN.format(base=base))
    rpn = sum(64 * 96 // 4**k for k in range(2, 6)) + 1 * 2  # P6 is 1x2
    rpn_macs = rpn * sum(c[0] for c in (conv(1, 3, 256, 256), conv(1, 1, 256, 3), conv(1, 1, 256, 12)))
    box = sum(
        c[0]
        for c in (
            linear(49 * 256, 1024),
            linear(1024, 1024),
            linear(1024, 81),
            linear(1024, box_outputs),
        )
    )
    mask = 4 * conv(14 * 14, 3, 256, 256)[0] + 14 * 14 * 256 * 256 * 4 + conv(28 * 28, 1, 256, 80)[0]
    macs = count_backbone_macs(path, (64, 96)) + rpn_macs + stages * (1000 * box + 100 * mask)
    assert compute_complexity(path, (64, 96)).macs * 1e9 == pytest.approx(macs)


def test_deformable_detr(tmp_path):
    path = tmp_path / 'detr.py'
    path.write_text(DEFORMABLE_DETR)
    tokens, queries, c = 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2, 300, 256
    offsets, weights = 8 * 4 * 4 * 2, 8 * 4 * 4  # 8 heads, 4 levels, 4 points
    ffn = 2 * c * 4 * c
    deformable = c * (offsets + weights) + c * c  # for each query; the values come on top
    encoder = tokens * (c * c + deformable + ffn)
    attention = queries * 4 * c * c + 2 * queries**2 * c
    decoder = attention + tokens * c * c + queries * (deformable + ffn)
    branches = 6 * queries * (c * 80 + 2 * c * c + c * 4)  # class and box, after each decoder layer
    reference = queries * c * 2
    macs = count_backbone_macs(path, (64, 96)) + 6 * (encoder + decoder) + branches + reference
    ours = compute_complexity(path, (64, 96))
    assert ours.macs * 1e9 == pytest.approx(macs)
