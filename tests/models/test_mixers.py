"""Attention mixers against a computation token by token."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmcednet.models.mixers import CrossWindowAttention, WindowAttention


def find_region(position: int, size: int, shift: int) -> tuple[int, bool]:
    """The window of a token, and whether the cyclic shift brought it there from the other end."""
    shifted = (position - shift) % size
    return shifted // 7, position < shift


def window_attention(mixer: WindowAttention, x: Tensor) -> Tensor:
    """One image (H, W, C), token by token."""
    height, width, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -width % 7, 0, -height % 7))
    rows, columns = padded.shape[:2]
    q, k, v = (t.unflatten(-1, (mixer.num_heads, -1)) for t in mixer.qkv(padded).chunk(3, -1))
    places = {
        (y, x): (*find_region(y, rows, mixer.shift), *find_region(x, columns, mixer.shift))
        for y in range(rows)
        for x in range(columns)
    }
    out = torch.zeros(height, width, mixer.num_heads, channels // mixer.num_heads, dtype=x.dtype)
    for y in range(height):
        for x_ in range(width):
            others = [place for place, where in places.items() if where == places[y, x_]]
            for head in range(mixer.num_heads):
                logits = []
                for other_y, other_x in others:
                    # all tokens of a window were shifted equally, so distances are unchanged
                    row = (y - other_y + 6) * 13 + x_ - other_x + 6
                    product = q[y, x_, head] @ k[other_y, other_x, head]
                    scaled = product / math.sqrt(channels // mixer.num_heads)
                    logits.append(scaled + mixer.relative_position_bias_table[row, head])
                weights = torch.stack(logits).softmax(0)
                values = torch.stack([v[place][head] for place in others])
                out[y, x_, head] = weights @ values
    return mixer.proj(out.flatten(2))


@pytest.mark.parametrize('shifted', [False, True])
@pytest.mark.parametrize('size', [(7, 7), (10, 8), (3, 16)])
def test_window_attention(shifted, size):
    mixer = WindowAttention(64, shifted).double()
    assert mixer.num_heads == 2
    torch.nn.init.normal_(mixer.relative_position_bias_table)
    x = torch.randn(2, *size, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = torch.stack([window_attention(mixer, image) for image in x])
        torch.testing.assert_close(mixer(x), expected)


def test_image_sizes_may_change_between_calls():
    """In evaluation and training, as with multi-scale data."""
    mixer = WindowAttention(32, shifted=True)
    first, second = torch.randn(1, 14, 21, 32), torch.randn(1, 21, 14, 32)
    with torch.inference_mode():
        before = mixer.eval()(first)
    out = mixer.train()(first)
    out.sum().backward()
    torch.testing.assert_close(out, before)
    assert mixer(second).shape == second.shape
    torch.testing.assert_close(mixer(first), before)


def test_exported_mixer():
    mixer = WindowAttention(32, shifted=True).eval()
    x = torch.randn(1, 7, 35, 32)
    exported = torch.export.export(mixer, (x,))
    run = exported.module() if hasattr(exported, 'module') else exported  # torch 2.1 has no module()
    torch.testing.assert_close(run(x), mixer(x))


def stripe_attention(x: Tensor, branch, height: int, width: int) -> Tensor:
    """Queries, keys, values (3, H, W, C) of one image, window by window."""
    _, rows, columns, channels = x.shape
    pad_y, pad_x = -rows % height, -columns % width
    padded = torch.zeros(3, rows + pad_y, columns + pad_x, channels, dtype=x.dtype)
    top, left = pad_y // 2, pad_x // 2
    padded[:, top : top + rows, left : left + columns] = x
    out = torch.zeros_like(padded[0])
    for y in range(0, rows + pad_y, height):
        for x_ in range(0, columns + pad_x, width):
            window = padded[:, y : y + height, x_ : x_ + width]
            q, k, v = window.flatten(1, 2)
            heads = []
            for query, key, value in zip(*(t.chunk(branch.num_heads, -1) for t in (q, k, v))):
                weights = (query @ key.T / math.sqrt(query.shape[1])).softmax(-1)
                heads.append(weights @ value)
            lepe = F.conv2d(
                window[2].permute(2, 0, 1),
                branch.lepe.weight,
                branch.lepe.bias,
                padding=1,
                groups=channels,
            )
            attended = torch.cat(heads, -1).view(height, width, channels)
            out[y : y + height, x_ : x_ + width] = attended + lepe.permute(1, 2, 0)
    return out[top : top + rows, left : left + columns]


@pytest.mark.parametrize('stripe', [1, 2, 7, None])
@pytest.mark.parametrize('size', [(7, 7), (9, 4), (5, 11)])
def test_cross_window_attention(stripe, size):
    mixer = CrossWindowAttention(16, num_heads=4, stripe=stripe).double()
    x = torch.randn(2, *size, 16, dtype=torch.float64)
    height, width = size
    expected = []
    with torch.no_grad():
        for image in x:
            qkv = torch.stack(mixer.qkv(image).chunk(3, -1))
            if stripe:
                columns = stripe_attention(qkv[..., :8], mixer.branches[0], height, stripe)
                rows = stripe_attention(qkv[..., 8:], mixer.branches[1], stripe, width)
                attended = torch.cat([columns, rows], -1)
            else:
                attended = stripe_attention(qkv, mixer.branches[0], height, width)
            expected.append(mixer.proj(attended))
        torch.testing.assert_close(mixer(x), torch.stack(expected))


def test_channels_must_be_divisible_by_the_number_of_heads():
    with pytest.raises(ValueError, match='24 channels are not divisible by 0 heads'):
        WindowAttention(24, shifted=False)
    with pytest.raises(ValueError, match='100 channels are not divisible by 3 heads'):
        WindowAttention(100, shifted=False)
    with pytest.raises(ValueError, match='16 channels are not divisible by 10 heads'):
        CrossWindowAttention(16, num_heads=10, stripe=None)
    with pytest.raises(ValueError, match='num_heads 3 must be even'):
        CrossWindowAttention(24, num_heads=3, stripe=2)
