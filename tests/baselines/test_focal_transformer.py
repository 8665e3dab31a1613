"""Focal Transformer: its attention token by token, sizes, gradients, weights of other focal windows."""

from itertools import product

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmcednet.baselines import FocalTransformer
from mmcednet.baselines.focal_transformer import FocalAttention, resize_table
from mmcednet.models.layers import DropPath

SMALL = dict(embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4), focal_windows=(5, 3, 3, 1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FocalTransformer(**SMALL, drop_path_rate=0.0)


@pytest.fixture
def classifier():
    """A network with other focal windows, and no biases to neighbours in its last stage."""
    weights = FocalTransformer(**dict(SMALL, focal_windows=(3, 3, 1, 1))).state_dict()
    missing = 'stages.3.0.attn.relative_position_bias_table_to_neighbors'
    del weights[missing]
    return weights, missing


def list_keys(attn, x, origin, token):
    """Keys, values and biases of all that a token attends to: (keys, C), (keys, C), (heads, keys).

    Args:
        attn: The attention.
        x: (H, W, C), padded.
        origin: Window's first token.
        token: Place in the window.
    """
    height, width, channels = x.shape
    kv = attn.qkv(x)[..., channels:]
    number, found, biases = token[0] * 7 + token[1], [], []
    for y, x_ in product(range(7), repeat=2):
        found.append(kv[origin[0] + y, origin[1] + x_])
        row = (token[0] - y + 6) * 13 + token[1] - x_ + 6
        biases.append(attn.relative_position_bias_table[row])
    index = 0
    for dy, dx in ((3, 3), (3, -3), (-3, 3), (-3, -3)):  # the window, shifted towards a corner
        for y, x_ in product(range(7), repeat=2):
            if 0 <= y + dy < 7 and 0 <= x_ + dx < 7:
                continue
            found.append(kv[(origin[0] + y + dy) % height, (origin[1] + x_ + dx) % width])
            biases.append(attn.relative_position_bias_table_to_neighbors[0, :, number, index])
            index += 1
    assert index == 132
    reach, size = attn.focal_window // 2, attn.focal_window + 6
    for dy, dx in product(range(-reach, reach + 1), repeat=2):
        y, x_ = origin[0] + 7 * dy, origin[1] + 7 * dx
        if not (0 <= y < height and 0 <= x_ < width):
            continue
        window = x[y : y + 7, x_ : x_ + 7].reshape(49, channels)
        found.append(attn.qkv(attn.pool(window.t())[:, 0])[channels:])
        row, column = token[0] - dy - reach, token[1] - dx - reach
        place = (row + attn.focal_window - 1) * size + column + attn.focal_window - 1
        biases.append(attn.relative_position_bias_table_to_windows[:, place])
    keys, values = torch.stack(found).chunk(2, -1)
    return keys, values, torch.stack(biases, 1)


def attend(attn, x):
    """Focal self-attention of one image (H, W, C), token by token."""
    height, width, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -width % 7, 0, -height % 7))
    out = torch.zeros_like(x)
    for y, x_ in product(range(height), range(width)):
        origin, token = (y // 7 * 7, x_ // 7 * 7), (y % 7, x_ % 7)
        keys, values, biases = list_keys(attn, padded, origin, token)
        query = attn.qkv(padded[y, x_])[:channels]
        heads = []
        for head, (q, k, v) in enumerate(
            zip(*(t.chunk(attn.num_heads, -1) for t in (query, keys, values)))
        ):
            weights = (k @ q / len(q) ** 0.5 + biases[head]).softmax(0)
            heads.append(weights @ v)
        out[y, x_] = attn.proj(torch.cat(heads))
    return out


@pytest.mark.parametrize(('size', 'focal_window'), [((7, 7), 1), ((8, 15), 3), ((3, 20), 5)])
def test_attention_equals_a_computation_token_by_token(size, focal_window):
    torch.manual_seed(0)
    attn = FocalAttention(8, 2, focal_window).double()
    for param in attn.parameters():
        nn.init.normal_(param, std=0.5)
    x = torch.randn(2, *size, 8, dtype=torch.float64)
    with torch.no_grad():
        out = attn(x)
        expected = attend(attn, x[1])
    assert out.shape == x.shape
    torch.testing.assert_close(out[1], expected, rtol=0, atol=1e-10)


def test_each_bias_of_a_window_and_its_neighbours_is_used_once():
    index = FocalAttention(8, 1, 1).region_index
    assert index.shape == (169, 2)
    assert sorted(index[index < 181].tolist()) == list(range(181))
    assert (index[:, 1] < 181).sum() == 12  # tokens in the windows of two corners


@pytest.mark.parametrize('size', [(224, 224), (64, 96), (65, 130), (31, 5)])
def test_shapes(network, size):
    outs = network.eval()(torch.rand(2, 3, *size))
    assert network.out_channels == (8, 16, 32, 64)
    for i, out in enumerate(outs):
        stride = 4 * 2**i
        assert out.shape == (2, 8 * 2**i, -(-size[0] // stride), -(-size[1] // stride))
        assert out.is_contiguous()
        assert out.isfinite().all()


def test_weights_of_a_network_without_memory(network):
    """Indices, which no checkpoint has, are there, too."""
    with torch.device('meta'):
        other = FocalTransformer(**SMALL)
    other.load_state_dict(network.state_dict(), assign=True)
    images = torch.rand(1, 3, 64, 64)
    for ours, theirs in zip(other.eval()(images), network.eval()(images), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_images_of_a_batch_are_independent(network):
    network.double()
    images = torch.rand(2, 3, 100, 60, dtype=torch.float64)
    for both, alone in zip(network(images), network(images[1:])):
        torch.testing.assert_close(both[1:], alone)


def test_gradients_reach_every_parameter(network):
    sum(out.square().mean() + out.std() for out in network(torch.rand(1, 3, 256, 256))).backward()
    for name, param in network.named_parameters():
        assert param.grad is not None, name
        assert param.grad.isfinite().all(), name
        assert param.grad.abs().sum() > 0, name


def test_half_precision(network):
    with torch.autocast('cpu', torch.bfloat16):
        outs = network(torch.rand(1, 3, 64, 64))
    assert all(out.isfinite().all() for out in outs)


def test_drop_path_grows_linearly():
    network = FocalTransformer(**SMALL, drop_path_rate=0.4)
    rates = [module.rate for module in network.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    images = torch.rand(4, 3, 32, 32)
    assert not torch.equal(network(images)[-1], network(images)[-1])
    network.eval()
    assert torch.equal(network(images)[-1], network(images)[-1])


def test_default_is_focal_tiny():
    """Table 1 of the paper: 28.9 M with the classifier's head and norm, and focal windows (7, 5, 3, 1).

    Its last stage has no neighbours; ours has an output norm for each stage instead of one.
    """
    params = sum(p.numel() for p in FocalTransformer(focal_windows=(7, 5, 3, 1)).parameters())
    neighbours = 2 * 24 * 49 * 132
    norms = 2 * (96 + 192 + 384)
    head = 768 * 1000 + 1000
    assert params - neighbours - norms + head == pytest.approx(28.9e6, abs=0.05e6)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(embed_dims=0), 'embed_dims 0 must be a positive integer'),
        (dict(depths=(1, 1, 0, 1)), r'depths \(1, 1, 0, 1\) must be a sequence of 4 positive'),
        (dict(num_heads=(1, 2)), r'num_heads \(1, 2\) must be a sequence of 4 positive integers'),
        (dict(num_heads=(3, 2, 2, 4)), '8 channels are not divisible by 3 heads'),
        (dict(focal_windows=(5, 3, 2, 1)), 'focal window 2 must be odd'),
        (dict(drop_path_rate=1.0), r'drop_path_rate 1.0 must be in \[0, 1\)'),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        FocalTransformer(**{**SMALL, **change})


def test_tables_are_resized_bilinearly():
    ramp = torch.arange(7.0)
    table = (10 * ramp[:, None] + ramp).reshape(1, 49)
    assert resize_table(table, 7) is table
    resized = resize_table(torch.cat((table, -table)), 9).view(2, 9, 9)
    places = ((torch.arange(9) + 0.5) * 7 / 9 - 0.5).clamp(0, 6)
    torch.testing.assert_close(resized[0], 10 * places[:, None] + places)
    torch.testing.assert_close(resized[1], -resized[0])


def test_pretrained_weights_of_other_focal_windows_load(classifier, tmp_path):
    weights, missing = classifier
    torch.save(dict(state_dict=weights), tmp_path / 'classifier.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'classifier.pth'))
    network = MODELS.build(dict(type='FocalTransformer', **SMALL, init_cfg=init_cfg))
    network.init_weights()
    for key, value in network.state_dict().items():
        if key != missing and value.shape == weights[key].shape:
            assert torch.equal(value, weights[key]), key
    key = 'stages.0.0.attn.relative_position_bias_table_to_windows'
    assert torch.equal(network.state_dict()[key], resize_table(weights[key], 11))
