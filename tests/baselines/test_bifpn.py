import pytest
import torch
from mmengine.registry import MODELS

from mmcednet.baselines.bifpn import BiFPN, BiFPNLayer, WeightedFusion

WIDTHS = (8, 12, 16)


def make_feature_maps(*sizes, channels=(6,) * 5):
    return [torch.randn(2, c, *size) for c, size in zip(channels, sizes)]


@pytest.mark.parametrize('size', [(64, 96), (100, 76)])  # the second gives levels of odd sizes
def test_shapes_and_gradients(size):
    neck = MODELS.build(dict(type='BiFPN', in_channels=WIDTHS, out_channels=6, num_layers=2))
    sizes = [tuple(-(-side // 2**k) for side in size) for k in range(3, 8)]
    outs = neck(make_feature_maps(*sizes[:3], channels=WIDTHS))
    assert [tuple(out.shape) for out in outs] == [(2, 6, *size) for size in sizes]
    sum(out.square().sum() for out in outs).backward()
    assert all(param.grad is not None for param in neck.parameters())


def test_no_parameter_is_unused_without_pooled_levels():
    neck = BiFPN(WIDTHS, out_channels=8, num_layers=1, num_outs=len(WIDTHS))
    outs = neck(make_feature_maps((16, 16), (8, 8), (4, 4), channels=WIDTHS))
    assert len(outs) == len(WIDTHS)
    sum(out.square().sum() for out in outs).backward()
    assert all(param.grad is not None for param in neck.parameters())


def test_no_layers():
    with pytest.raises(ValueError, match='num_layers 0 must be a positive integer'):
        BiFPN(WIDTHS, num_layers=0)


def test_fewer_outputs_than_inputs():
    with pytest.raises(ValueError, match='num_outs 2 must be at least 3'):
        BiFPN(WIDTHS, num_outs=2)


def test_fusion_is_a_weighted_mean():
    fusion = WeightedFusion(2, 6)
    fusion.conv = torch.nn.Identity()
    fusion.weights.data = torch.tensor([3.0, 1.0])
    x, y = make_feature_maps((4, 5), (4, 5))
    torch.testing.assert_close(fusion(x, y), 0.75 * x + 0.25 * y, atol=1e-3, rtol=1e-3)
    fusion.weights.data = torch.tensor([2.0, -1.0])
    torch.testing.assert_close(fusion(x, y), x, atol=1e-3, rtol=1e-3)


def test_layer_has_a_top_down_and_a_bottom_up_pathway():
    """Computed by hand on three constant levels, with sums for the fusions."""
    layer = BiFPNLayer(1, num_levels=3)
    for fusion in (*layer.down, *layer.up):
        fusion.forward = lambda *inputs: sum(inputs)
    inputs = [
        torch.full((1, 1, side, side), value) for side, value in ((8, 1.0), (4, 10.0), (2, 100.0))
    ]
    p3, p4, p5 = (out.unique().item() for out in layer(inputs))
    # down: 10 + 100 = 110, 1 + 110 = 111; up: 10 + 110 + 111 = 231, 100 + 231 = 331
    assert (p3, p4, p5) == (111.0, 231.0, 331.0)


def test_skips_replace_the_inputs_of_the_bottom_up_pathway():
    layer = BiFPNLayer(1, num_levels=3)
    for fusion in (*layer.down, *layer.up):
        fusion.forward = lambda *inputs: sum(inputs)
    sizes = (8, 4, 2)
    inputs = [torch.full((1, 1, side, side), value) for side, value in zip(sizes, (1.0, 10.0, 100.0))]
    skips = [torch.full((1, 1, side, side), value) for side, value in zip(sizes, (0.0, 20.0, 200.0))]
    p3, p4, p5 = (out.unique().item() for out in layer(inputs, skips))
    # down: 110, 111, as without skips; up: 20 + 110 + 111 = 241, 200 + 241 = 441
    assert (p3, p4, p5) == (111.0, 241.0, 441.0)


def test_only_the_first_layer_has_laterals_of_its_own():
    """Two for the levels above the finest input, in both pathways; one for the pooled levels."""
    neck = BiFPN(WIDTHS, 6, num_layers=2)
    laterals = sum(width * 6 + 6 + 2 * 6 for width in (8, 12, 16, 12, 16, 16))
    layers = sum(param.numel() for param in neck.layers.parameters())
    assert sum(param.numel() for param in neck.parameters()) == laterals + layers


def test_each_fusion_has_a_separable_convolution():
    params = sum(param.numel() for param in BiFPN(WIDTHS, 6, num_layers=1).layers.parameters())
    convs = 8 * (9 * 6 + 6 * 6 + 6 + 2 * 6)
    weights = 4 * 2 + 3 * 3 + 2
    assert params == convs + weights


@pytest.mark.parametrize('settings, expected', [({}, 0.01), ({'momentum': 0.1}, 0.1)])
def test_momentum_of_all_norms(settings, expected):
    neck = BiFPN((8, 16, 24), 8, num_layers=2, **settings)
    norms = [module for module in neck.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 22  # 3 + 2 laterals, 1 of the extra levels, 8 fusions in each layer
    assert {norm.momentum for norm in norms} == {expected}
