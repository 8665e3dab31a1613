"""Time for feature fusion: the paper's figures, counts by hand, and the command."""

import runpy
import subprocess
import sys
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmcednet.analysis.fusion_time import measure_config_fusion_time, measure_fusion_time
from mmcednet.models import CEDNet

CONVNEXT_FPN = """
default_scope = 'mmdet'
custom_imports = dict(imports=['mmpretrain.models'])
model = dict(
    backbone=dict(
        type='mmpretrain.ConvNeXt', arch='small', out_indices=[1, 2, 3], gap_before_final_norm=False),
    neck=dict(
        type='FPN', in_channels=[192, 384, 768], out_channels=256, add_extra_convs='on_input',
        num_outs=5))
"""
HRNET = """
_base_ = 'mmdet::hrnet/faster-rcnn_hrnetv2p-w32-1x_coco.py'
"""
# The rows of Table 4: blocks of the stages -> fusion after k of 6 parts
TABLE_4 = [
    (((6, 9, 3),), 6),
    (((5, 10, 5), (1, 2, 1)), 5),
    (((4, 8, 4), (2, 4, 2)), 4),
    (((3, 6, 3), (3, 6, 3)), 3),
    (((2, 4, 2), (4, 8, 4)), 2),
    (((1, 2, 1), (5, 10, 5)), 1),
    (((2, 4, 2),) * 3, 2),
]


def conv(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)


class TwoLevels(nn.Module):
    """A stem to stride 4, level 2 and level 3; subclasses combine the two."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 4, 2), conv(4, 4, 2))
        self.level2 = conv(4, 4)
        self.level3 = conv(4, 4, 2)
        self.last = nn.Conv2d(4, 4, 1, bias=False)
        self.unused = nn.Parameter(torch.zeros(1000))

    def forward(self, x):
        c2 = self.level2(self.stem(x))
        return self.last(self.use(c2, self.level3(c2)))


class Sum(TwoLevels):
    def use(self, c2, c3):
        return c2 + F.interpolate(c3, scale_factor=2.0)


class InPlaceSum(TwoLevels):
    def use(self, c2, c3):
        y = c2.clone()
        y += F.interpolate(c3, size=c2.shape[-2:], mode='bilinear')
        return y


class Concatenation(TwoLevels):
    """Concatenates tokens, whose shape does not reveal the level."""

    def use(self, c2, c3):
        tokens = [c.flatten(2).transpose(1, 2) for c in (c2, c3)]
        return torch.cat(tokens, 1).transpose(1, 2).unsqueeze(-1)


class Shortcut(TwoLevels):
    def use(self, c2, c3):
        return c3 + F.avg_pool2d(c2, 2)


class SqueezeAndExcite(TwoLevels):
    def use(self, c2, c3):
        gate = self.last(F.adaptive_avg_pool2d(c2, 1)) + self.last(F.adaptive_max_pool2d(c2, 1))
        return c2 * gate.sigmoid()


class PooledKeys(TwoLevels):
    """Attention of level 2 to its pooled self, as in PVT."""

    def use(self, c2, c3):
        q, k = (c.flatten(2).transpose(1, 2) for c in (c2, c3))
        by_hand = (q @ k.transpose(1, 2)).softmax(-1) @ k
        fused = F.scaled_dot_product_attention(q, k, k)
        return c2 + (by_hand + fused).transpose(1, 2).view_as(c2)


class Windows(TwoLevels):
    """A convolution on 8x8 windows, stacked along the batch."""

    def use(self, c2, c3):
        n, c, h, w = c2.shape
        x = c2.view(n, c, h // 8, 8, w // 8, 8).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, 8, 8)
        x = self.last(x).view(n, h // 8, w // 8, c, 8, 8).permute(0, 3, 1, 4, 2, 5)
        return c2 + x.reshape(n, c, h, w)


@pytest.mark.parametrize('network', [Sum, InPlaceSum, Concatenation])
def test_fusions(network):
    time = measure_fusion_time(network())
    assert time.fuses
    assert time.before == 2 * 4 * 4 * 9  # level2 and level3, not the stem
    assert time.total == time.before + 4 * 4 + 1000
    assert time.blocks is None


@pytest.mark.parametrize('network', [Shortcut, SqueezeAndExcite, PooledKeys, Windows])
def test_operations_that_are_not_fusions(network):
    time = measure_fusion_time(network())
    assert not time.fuses
    assert time.share == 1


@pytest.mark.parametrize(('stages', 'parts'), TABLE_4)
def test_table_4(stages, parts):
    arch = dict(channels=(8, 16, 24, 32), blocks=(3, *stages))
    time = measure_fusion_time(CEDNet(arch=arch, pyramid=dict(levels=(3, 4, 5, 6, 7), channels=8)))
    assert time.blocks == Fraction(parts, 6)


@pytest.mark.parametrize(
    ('style', 'blocks'),
    [
        ('fpn', Fraction(8, 24)),
        ('unet', Fraction(1 + 2 + 2, 24)),
        ('hourglass', Fraction(1 + 2 + 2 + 1, 24 + 6)),  # the lateral block on e4 comes before
    ],
)
def test_styles(style, blocks):
    arch = dict(channels=(8, 16, 24, 32), blocks=(3, 2, 4, 2), num_stages=3)
    time = measure_fusion_time(CEDNet(arch=arch, style=style))
    assert time.blocks == blocks
    assert 0 < time.share < 0.5


def test_cednet_without_a_decoder_has_no_fusion(small):
    small.update(num_stages=1)
    time = measure_fusion_time(CEDNet(arch=small, final_decoder=False))
    assert not time.fuses
    assert time.share == time.blocks == 1


@pytest.mark.slow
def test_convnext_with_fpn_equals_the_paper(tmp_path):
    (tmp_path / 'convnext.py').write_text(CONVNEXT_FPN)
    time = measure_config_fusion_time(str(tmp_path / 'convnext.py'))
    assert f'{time.share:.1%}' == '91.7%'


@pytest.mark.slow
def test_hrnet_equals_the_paper(tmp_path):
    (tmp_path / 'hrnet.py').write_text(HRNET)
    time = measure_config_fusion_time(str(tmp_path / 'hrnet.py'))
    assert f'{time.share:.1%}' == '2.7%'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'neck'),
    [
        ('mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py', 2.73),
        ('mmdet::pvt/retinanet_pvt-t_fpn_1x_coco.py', 3.79),  # attention to pooled keys
        ('mmdet::nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py', 29.99),
        ('mmdet::efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py', 3.39),  # gates
        ('mmdet::dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py', 3.34),
    ],
)
def test_neck_is_one_fusion_module(config, neck):
    time = measure_config_fusion_time(config)
    assert time.fuses
    assert (time.total - time.before) / 1e6 == pytest.approx(neck, abs=0.01)


@pytest.mark.slow
def test_resnet_with_fpn_by_hand():
    time = measure_config_fusion_time('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    widths = (512, 1024, 2048)
    laterals = sum(width * 256 + 256 for width in widths)
    fpn = laterals + 4 * (256 * 256 * 9 + 256) + 2048 * 256 * 9 + 256
    assert time.before == 23_508_032 - 3 * 64 * 49 - 2 * 64  # without the classifier and the stem
    assert time.total == time.before + fpn


@pytest.mark.slow
@pytest.mark.parametrize(
    'config',
    [
        'mmpretrain::resnet/resnet50_8xb32_in1k.py',
        'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
        'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',  # one convolution per level
    ],
)
def test_networks_without_fusion(config):
    time = measure_config_fusion_time(config)
    assert not time.fuses
    assert time.share == 1


def test_invalid_configs_are_reported(tmp_path):
    for missing in (str(tmp_path / 'a.py'), 'mmdet::retinanet/a.py'):
        with pytest.raises(ValueError, match=f'config {missing} does not exist'):
            measure_config_fusion_time(missing)
    with pytest.raises(ValueError, match=r'^no_toolbox::a\.py is not a config of an installed mmdet, '):
        measure_config_fusion_time('no_toolbox::a.py')
    for content in ("model = dict(type='SSD')", 'x = 1'):
        (tmp_path / 'other.py').write_text(content)
        with pytest.raises(ValueError, match=r'config .*other\.py has no model\.backbone'):
            measure_config_fusion_time(str(tmp_path / 'other.py'))


@pytest.fixture
def main(root):
    return runpy.run_path(str(root / 'tools' / 'analysis' / 'fusion_time.py'))['main']


def test_command(root, main, capsys):
    assert main([str(root / 'configs' / 'retinanet' / 'cednet_t.py')]) == 0
    out = capsys.readouterr().out
    assert '% of the parameters come before the first fusion: ' in out
    assert "2/6 of the stages' blocks come before" in out
    assert main([str(root / 'configs' / 'retinanet' / 'cednet_s.py')]) == 0
    assert "1/4 of the stages' blocks come before" in capsys.readouterr().out


@pytest.mark.slow
def test_process(root, tmp_path):
    tool = [sys.executable, root / 'tools' / 'analysis' / 'fusion_time.py']
    failed = subprocess.run([*tool, tmp_path / 'missing.py'], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith('error: config ')
    assert len(failed.stderr.splitlines()) == 1
