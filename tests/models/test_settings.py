"""Wrong settings and images are errors of one sentence."""

import math

import pytest
import torch
from mmengine.registry import MODELS

from mmcednet.models import CEDNet


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(arch='huge'), "arch 'huge' is unknown; choose one of: tiny, small, base"),
        (dict(arch=dict(channels=(8, 16, 24), blocks=(1, 1, 1, 1))), r'channels \(8, 16, 24\)'),
        (dict(arch=dict(channels=(8, 16, 24, 0), blocks=(1, 1, 1, 1))), 'four positive integers'),
        (dict(arch=dict(channels=(8, 16, 24, 32), blocks=(1, 1, 1))), r'blocks \(1, 1, 1\)'),
        (dict(arch=dict(channels=(8, 16, 24, 32), blocks=(1, 1, -1, 1))), 'blocks'),
        (
            dict(arch=dict(channels=(8,) * 4, blocks=(1, (1, 1, 1), (1, 1, 1)), num_stages=3)),
            'num_stages 3',
        ),
        (dict(arch=dict(widths=(8, 16, 24, 32))), 'channels, blocks, num_stages'),
        (dict(style='pan'), "style 'pan' is unknown; choose one of: fpn, unet, hourglass"),
        (dict(mixer='mamba'), "mixer 'mamba' is unknown; choose one of: dwconv, conv, window, cross"),
        (dict(arch=dict(channels=(24, 32, 32, 32), blocks=(1, 1, 1, 1)), mixer='window'), '24 chan'),
        (dict(arch=dict(channels=(8, 8, 8, 32), blocks=(1, 1, 1, 1)), mixer='cross_window'), '10 hea'),
        (dict(aux_level=2), 'aux_level 2 must be 3, 4 or 5'),
        (dict(pyramid=dict(levels=(4, 5, 6))), r'levels \(4, 5, 6\)'),
        (dict(pyramid=dict(levels=(3, 5, 6))), 'consecutive'),
        (dict(pyramid=dict(levels=())), 'consecutive'),
        (dict(pyramid=dict(channels=0)), 'channels 0'),
        (dict(out_levels=(1, 2)), r'out_levels \(1, 2\)'),
        (dict(out_levels=()), r'out_levels \(\)'),
        (dict(out_levels=(3, 3)), 'distinct levels'),
        (dict(out_levels=3), 'out_levels 3'),
        (dict(drop_path_rate=1.5), 'drop_path_rate 1.5'),
        (dict(drop_path_rate='0.1'), 'drop_path_rate 0.1'),
        (dict(layer_scale=-1.0), r'layer_scale -1\.0'),
        (dict(top_down_init=-0.1), r'top_down_init -0\.1'),
        (dict(in_channels=0), 'in_channels 0'),
        (dict(style=['fpn']), 'style .* is unknown'),
        (dict(pyramid=[3, 4, 5]), r'pyramid \[3, 4, 5\] must be a dict'),
        (dict(pyramid=dict(levels=3)), r'levels \(3,\)'),
        (dict(pyramid=dict(foo=1)), 'pyramid .*foo'),
        (dict(arch=dict(channels=8, blocks=(1, 1, 1, 1))), 'channels 8'),
        (dict(arch=dict(channels=(8,) * 4, blocks=3)), 'blocks 3'),
        (dict(arch=dict(channels=(8,) * 4, blocks=(1, (1, 1, 1), 2))), 'blocks'),
        (dict(arch=dict(channels=(8,) * 4, blocks=(1, 1, 1, 1), num_stages='2')), 'num_stages 2'),
        (dict(frozen_stages=4), 'frozen_stages 4 must be -1 to 3'),
        (dict(layer_scale=math.nan), 'layer_scale nan must be a finite number'),
        (dict(top_down_init=math.inf), 'top_down_init inf must be a finite number'),
        (dict(aux_level=3.0), r'aux_level 3\.0 must be 3, 4 or 5'),
        (dict(out_levels=(2.0, 3.0)), r'out_levels \(2\.0, 3\.0\)'),
        (dict(out_levels=[[2], [3]]), r'out_levels \[\[2\], \[3\]\]'),
        (dict(pyramid=dict(levels=(3, '5'))), r"levels \(3, '5'\)"),
        (dict(pyramid=dict(levels=(3.0, 4.0, 5.0))), r'levels \(3\.0, 4\.0, 5\.0\)'),
    ],
)
def test_wrong_settings_are_reported(settings, message):
    with pytest.raises(ValueError, match=message), torch.device('meta'):
        MODELS.build(dict(type='CEDNet', **settings))


def test_small_images_are_reported(small):
    with pytest.raises(ValueError, match='31x40 pixels; CEDNet needs at least 32x32'):
        CEDNet(small)(torch.randn(1, 3, 31, 40))


@pytest.mark.parametrize('shape', [(3, 64, 64), (1, 64, 64, 3), (1, 1, 64, 64)])
def test_images_of_another_shape_are_reported(small, shape):
    with pytest.raises(ValueError, match=r'the images have the shape .*CEDNet needs \(N, 3, H, W\)'):
        CEDNet(small)(torch.zeros(shape))


def test_layer_scale_may_be_an_integer(small):
    assert CEDNet(small, layer_scale=1).stages[0].encoder.level3[0].mlp.gamma.tolist() == [1.0] * 16
