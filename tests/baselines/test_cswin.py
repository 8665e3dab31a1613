import pytest
import torch

from mmcednet.baselines import CSWin
from mmcednet.models.layers import DropPath

SMALL = dict(channels=8, depths=(1, 1, 2, 1), num_heads=(2, 2, 4, 4))


@pytest.mark.parametrize('size', [(64, 96), (75, 101)])
def test_features_have_the_strides_4_to_32(size):
    outs = CSWin(**SMALL)(torch.randn(2, 3, *size))
    assert [out.shape[:2] for out in outs] == [(2, 8), (2, 16), (2, 32), (2, 64)]
    height, width = ((side + 4 - 7) // 4 + 1 for side in size)
    for out in outs:
        assert out.shape[2:] == (height, width)
        assert out.is_contiguous()
        height, width = (height + 1) // 2, (width + 1) // 2


def test_only_the_chosen_stages_have_norms_and_outputs():
    model = CSWin(**SMALL, out_indices=(1, 3))
    assert [out.shape[1] for out in model(torch.randn(1, 3, 64, 64))] == [16, 64]
    assert not hasattr(model, 'norm0')
    assert not hasattr(model, 'norm2')


def test_every_parameter_has_a_gradient():
    model = CSWin(**SMALL)
    sum(out.square().sum() for out in model(torch.randn(1, 3, 70, 90))).backward()
    assert all(param.grad is not None and param.grad.any() for param in model.parameters())


def test_drop_path_grows_from_block_to_block():
    model = CSWin(drop_path_rate=0.24)
    rates = [module.rate for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([i / 24 * 0.24 for i in range(25)])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(channels=0), r'channels \(0,\) must be 1 positive integers'),
        (dict(depths=(1, 2, 3)), r'depths \(1, 2, 3\) must be 4 positive integers'),
        (dict(stripes=(1, 2, 7, 7)), r'stripes \(1, 2, 7, 7\) must be 3 positive integers'),
        (dict(num_heads=(3, 2, 4, 4)), '8 channels are not divisible by 3 heads'),
        (dict(num_heads=(1, 2, 4, 4)), 'num_heads 1 must be even'),
        (dict(out_indices=(4,)), r'out_indices \(4,\) must be stages, 0 to 3'),
    ],
)
def test_wrong_settings_are_reported(change, message):
    with pytest.raises(ValueError, match=message):
        CSWin(**SMALL | change)
