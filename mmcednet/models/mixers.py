"""The attention token mixers of Table 5: windows (Swin) and crossed stripes (CSWin).

A mixer takes and returns channels-last features, (N, H, W, C), of any H and W.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 7
HEAD_CHANNELS = 32
MASKED = -100.0  # as published; exp(-100) vanishes beside any logit


def partition(x: Tensor, height: int, width: int) -> Tensor:
    """Cut (N, H, W, C) into windows, (N, H/height * W/width, height * width, C); H, W are multiples."""
    n, rows, columns, channels = x.shape
    x = x.reshape(n, rows // height, height, columns // width, width, channels)
    return x.transpose(2, 3).reshape(n, -1, height * width, channels)


def merge(windows: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """Inverse of :func:`partition`: back to (N, rows, columns, C)."""
    n, _, _, channels = windows.shape
    x = windows.reshape(n, rows // height, columns // width, height, width, channels)
    return x.transpose(2, 3).reshape(n, rows, columns, channels)


@lru_cache(maxsize=64)  # 3.5 MB each at stride 8 of 1333x800; training sizes vary
@torch.inference_mode(False)  # also used in training, when evaluation was the first to ask for it
def shift_mask(height: int, width: int, shift: int, device: torch.device) -> Tensor:
    """What to add to the attention of cyclically shifted windows: tokens that were apart stay apart.

    Args:
        height, width: Of the features, in multiples of the window.
        shift: How far they were rolled up and left.
        device: Where the mask is needed.

    Returns:
        (windows, 49, 49): 0 between tokens of one region, -100 otherwise.
    """
    # The roll put the first rows behind the last ones, in their window; likewise the columns.
    row = (torch.arange(height, device=device) >= height - shift).float()
    column = (torch.arange(width, device=device) >= width - shift).float()
    region = 2 * row[:, None] + column
    region = partition(region[None, :, :, None], WINDOW, WINDOW)[0, :, :, 0]  # (windows, 49)
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape, device=device).masked_fill_(apart, MASKED)


def relative_positions() -> Tensor:
    """For each pair of a window's 49 tokens, the row of the bias table, (49, 49)."""
    y, x = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing='ij')
    y, x = y.flatten(), x.flatten()
    dy, dx = y[:, None] - y + WINDOW - 1, x[:, None] - x + WINDOW - 1
    return dy * (2 * WINDOW - 1) + dx


class WindowAttention(nn.Module):
    """Self-attention in windows of 7x7 tokens with a relative position bias.

    Features are padded right and bottom to a multiple of 7. There are C // 32 heads.

    Args:
        channels: C.
        shifted: Shift the windows by 3 tokens, so that neighbours in two windows meet.

    Raises:
        ValueError: C is no multiple of the number of heads.
    """

    def __init__(self, channels: int, shifted: bool) -> None:
        super().__init__()
        self.heads = checked_heads('window', channels, channels // HEAD_CHANNELS)
        self.shift = WINDOW // 2 if shifted else 0
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.bias_table = nn.Parameter(torch.empty((2 * WINDOW - 1) ** 2, self.heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.register_buffer('bias_index', relative_positions(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> the same."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
        rows, columns = x.shape[1:3]
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))

        windows = partition(x, WINDOW, WINDOW)  # (N, windows, 49, C)
        qkv = self.qkv(windows).unflatten(-1, (3, self.heads, -1))
        # (3, N, windows * heads, 49, C / heads): a window's mask then holds for the whole batch
        qkv = qkv.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)
        bias = self.attention_bias(rows, columns).to(qkv.dtype)
        out = F.scaled_dot_product_attention(*qkv, attn_mask=bias)
        out = out.unflatten(1, (-1, self.heads)).transpose(2, 3).flatten(3)  # (N, windows, 49, C)

        x = merge(self.proj(out), WINDOW, WINDOW, rows, columns)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def attention_bias(self, height: int, width: int) -> Tensor:
        """What is added to the attention in windows of H x W tokens: (1, windows * heads, 49, 49)."""
        bias = self.bias_table[self.bias_index].permute(2, 0, 1)[None]  # (1, heads, 49, 49)
        if self.shift:
            bias = bias + shift_mask(height, width, self.shift, bias.device)[:, None]
        else:
            bias = bias.expand(height * width // WINDOW**2, -1, -1, -1)
        return bias.flatten(0, 1)[None]


class StripeAttention(nn.Module):
    """Self-attention in windows of a given size, plus a depth-wise 3x3 of the values (LePE).

    The convolution stays within each window. Features are padded with zeros, centred.

    Args:
        channels: C.
        heads: Number of heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.lepe = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, qkv: Tensor, height: int, width: int) -> Tensor:
        """Queries, keys, values (N, H, W, 3, C), in windows of height x width -> (N, H, W, C)."""
        n, rows, columns, _, channels = qkv.shape
        pad_y, pad_x = -rows % height, -columns % width
        top, left = pad_y // 2, pad_x // 2
        qkv = F.pad(qkv.flatten(3), (0, 0, left, pad_x - left, top, pad_y - top))
        padded = qkv.shape[1:3]
        windows = partition(qkv, height, width).flatten(0, 1)  # (N * windows, tokens, 3 C)
        q, k, v = windows.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)  # (N * windows, heads, tokens, C / heads)
        out = out.transpose(1, 2).flatten(2)
        values = windows[..., -channels:].transpose(1, 2).unflatten(-1, (height, width))
        out = out + self.lepe(values).flatten(2).transpose(1, 2)
        x = merge(out.unflatten(0, (n, -1)), height, width, *padded)
        return x[:, top : top + rows, left : left + columns]


class CrossWindowAttention(nn.Module):
    """Self-attention in crossed stripes: half of the channels in columns, half in rows.

    Args:
        channels: C.
        heads: Number of heads, of both halves together.
        stripe: Width of a column and height of a row, in tokens; None lets all channels attend to
            the whole feature map.

    Raises:
        ValueError: C is no multiple of the number of heads, or that is odd where there are stripes.
    """

    def __init__(self, channels: int, heads: int, stripe: int | None) -> None:
        super().__init__()
        checked_heads('cross_window', channels, heads)
        if stripe and heads % 2:
            raise ValueError(f'mixer cross_window: {heads} heads cannot be halved')
        self.stripe = stripe
        branches = 2 if stripe else 1
        self.qkv = nn.Linear(channels, 3 * channels)
        self.branches = nn.ModuleList(
            StripeAttention(channels // branches, heads // branches) for _ in range(branches)
        )
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> the same."""
        height, width = x.shape[1:3]
        sizes = [(height, self.stripe), (self.stripe, width)] if self.stripe else [(height, width)]
        qkv = self.qkv(x).unflatten(-1, (3, -1)).chunk(len(sizes), dim=-1)
        outs = [branch(part, *size) for branch, part, size in zip(self.branches, qkv, sizes)]
        return self.proj(torch.cat(outs, dim=-1))


def checked_heads(mixer: str, channels: int, heads: int) -> int:
    """``heads``, if C can be divided among them."""
    if heads < 1 or channels % heads:
        raise ValueError(f'mixer {mixer}: {channels} channels do not divide among {heads} heads')
    return heads
