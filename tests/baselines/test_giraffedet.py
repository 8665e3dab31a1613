import math

import pytest
import torch

from mmcednet.baselines import GeneralizedFPN, SpaceToDepthChain
from mmcednet.baselines.giraffedet import list_sources, space_to_depth

WIDTHS = (3, 4, 5, 6, 7)
NECK = dict(in_channels=WIDTHS, channels=4, num_layers=3, out_channels=6)


def list_sizes(size):
    return [tuple(math.ceil(side / 2**level) for side in size) for level in range(3, 8)]


@pytest.mark.parametrize('size', [(128, 256), (100, 150), (33, 65)])
def test_features_have_the_strides_8_to_128(size):
    features = SpaceToDepthChain(channels=WIDTHS)(torch.randn(2, 3, *size))
    outs = GeneralizedFPN(**NECK)(features)
    sizes = list_sizes(size)
    expected = [(2, width, *size) for width, size in zip(WIDTHS, sizes)]
    assert [tuple(out.shape) for out in features] == expected
    assert [tuple(out.shape) for out in outs] == [(2, 6, *size) for size in sizes]


def test_every_parameter_has_a_gradient():
    model = torch.nn.Sequential(SpaceToDepthChain(channels=WIDTHS), GeneralizedFPN(**NECK))
    sum(out.square().sum() for out in model(torch.randn(2, 3, 140, 130))).backward()
    assert all(param.grad is not None and param.grad.any() for param in model.parameters())


def test_space_to_depth_keeps_every_pixel():
    x = torch.randn(2, 3, 5, 4)
    out = space_to_depth(x)
    assert out.shape == (2, 12, 3, 2)
    for channel in range(3):
        for row in range(6):
            for column in range(4):
                expected = x[:, channel, row, column] if row < 5 else torch.zeros(2)
                found = out[:, 4 * channel + 2 * (row % 2) + column % 2, row // 2, column // 2]
                torch.testing.assert_close(found, expected)


def test_links_of_a_node():
    """The farthest log2n link first, then the neighbours (the paper's Figure 3 and 4)."""
    assert list_sources(0, 4, 5) == [(-1, 4), (-1, 3)]
    assert list_sources(0, 2, 5) == [(-1, 2), (0, 3), (-1, 3), (-1, 1)]
    assert list_sources(1, 0, 5) == [(0, 0), (0, 1)]
    assert list_sources(1, 2, 5) == [(0, 2), (1, 1), (0, 3), (0, 1)]
    assert list_sources(2, 0, 5) == [(0, 0), (1, 0), (2, 1), (1, 1)]
    links = [(4, 2), (12, 2), (16, 2), (18, 2), (19, 2)]
    assert list_sources(20, 2, 5) == [*links, (20, 3), (19, 3), (19, 1)]


def test_neck_concatenates_resized_maps():
    """Two levels and two layers of means over the channels, computed step by step."""
    neck = GeneralizedFPN(in_channels=(1, 1), channels=1, num_layers=2, out_channels=1)
    for node in neck.nodes:
        node.forward = lambda maps: maps.mean(1, keepdim=True)
    fine, coarse = torch.rand(1, 1, 4, 6), torch.rand(1, 1, 2, 3)

    def grow(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def shrink(x):
        padded = torch.nn.functional.pad(x, (1, 0, 1, 0), value=-1.0)
        windows = [
            [padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].amax() for j in range(3)]
            for i in (0, 1)
        ]
        return torch.tensor(windows)[None, None]

    coarse0 = (coarse + shrink(fine)) / 2
    fine0 = (fine + grow(coarse0) + grow(coarse)) / 3
    fine1 = (fine0 + grow(coarse0)) / 2
    coarse1 = (coarse0 + shrink(fine1) + shrink(fine0)) / 3
    outs = neck((fine, coarse))
    torch.testing.assert_close(outs[0], fine1)
    torch.testing.assert_close(outs[1], coarse1)


@pytest.mark.parametrize('channels', [(), (3, 0), (3, 1.5), 8])
def test_wrong_channels_are_reported(channels):
    for build in (
        lambda: SpaceToDepthChain(channels=channels),
        lambda: GeneralizedFPN(**NECK | dict(in_channels=channels)),
    ):
        with pytest.raises(ValueError, match=r'hannels .* must be one or more positive integers'):
            build()


@pytest.mark.parametrize('change', [dict(channels=0), dict(num_layers=1.5), dict(out_channels=-1)])
def test_wrong_numbers_are_reported(change):
    with pytest.raises(
        ValueError, match=r'channels .*, num_layers .* and out_channels .* must be positive'
    ):
        GeneralizedFPN(**NECK | change)


def test_weights_of_a_detector_load(tmp_path):
    source = SpaceToDepthChain(channels=WIDTHS)
    path = tmp_path / 'detector.pth'
    torch.save({f'backbone.{key}': value for key, value in source.state_dict().items()}, path)
    model = SpaceToDepthChain(WIDTHS, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    assert torch.equal(model.steps[4].conv.weight, source.steps[4].conv.weight)
