"""The attention token mixers of Table 5: windows (Swin) and crossed stripes (CSWin).

A mixer takes and returns channels-last features, (N, H, W, C), of any H and W.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 7
HEAD_CHANNELS = 32
MASKED = -100.0  # as published; exp(-100) vanishes beside any logit


Grid = tuple[int, int]  # number of windows below and beside each other
Size = tuple[int, int]  # height and width of a window, in tokens


def grid_of(x: Tensor, size: Size) -> Grid:
    """How many windows cover (N, H, W, C)."""
    return -(-x.shape[1] // size[0]), -(-x.shape[2] // size[1])


def partition(x: Tensor, grid: Grid, size: Size) -> Tensor:
    """Cut (N, H, W, C), exactly the grid, into windows: (N, windows, tokens, C)."""
    n, channels = x.shape[0], x.shape[-1]
    x = x.reshape(n, grid[0], size[0], grid[1], size[1], channels)
    return x.transpose(2, 3).reshape(n, grid[0] * grid[1], size[0] * size[1], channels)


def merge(windows: Tensor, grid: Grid, size: Size) -> Tensor:
    """Inverse of :func:`partition`: (N, windows, tokens, C) back to (N, H, W, C)."""
    n, channels = windows.shape[0], windows.shape[-1]
    x = windows.reshape(n, *grid, *size, channels)
    return x.transpose(2, 3).reshape(n, grid[0] * size[0], grid[1] * size[1], channels)


def shift_mask(grid: Grid, shift: int, device: torch.device) -> Tensor:
    """What to add to the attention of cyclically shifted windows: tokens that were apart stay apart.

    Args:
        grid: How many windows there are.
        shift: How far they were rolled up and left.
        device: Where the mask is needed.

    Returns:
        (windows, 49, 49): 0 between tokens of one region, -100 otherwise.
    """
    # The roll put the first rows behind the last ones, in their window; likewise the columns.
    height, width = WINDOW * grid[0], WINDOW * grid[1]
    row = (torch.arange(height, device=device) >= height - shift).float()
    column = (torch.arange(width, device=device) >= width - shift).float()
    region = 2 * row[:, None] + column
    region = partition(region[None, :, :, None], grid, (WINDOW, WINDOW))[0, :, :, 0]  # (windows, 49)
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
        n, height, width, channels = x.shape
        size = (WINDOW, WINDOW)
        grid = grid_of(x, size)
        x = F.pad(x, (0, 0, 0, WINDOW * grid[1] - width, 0, WINDOW * grid[0] - height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))

        windows = partition(x, grid, size)  # (N, windows, 49, C)
        head_channels = channels // self.heads
        qkv = self.qkv(windows).view(*windows.shape[:3], 3, self.heads, head_channels)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)  # (3, N, windows, heads, 49, C / heads)
        bias = self.attention_bias(grid).to(qkv.dtype)  # (heads or windows * heads, 49, 49)
        # Heads of all windows side by side where each window has its mask, of one window otherwise.
        out = F.scaled_dot_product_attention(
            *qkv.reshape(
                3, n * len(windows[0]) * self.heads // len(bias), len(bias), WINDOW**2, head_channels
            ),
            attn_mask=bias[None],
        )
        out = out.view(*windows.shape[:2], self.heads, WINDOW**2, head_channels)
        x = merge(self.proj(out.transpose(2, 3).flatten(3)), grid, size)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def attention_bias(self, grid: Grid) -> Tensor:
        """What is added to the attention: (heads, 49, 49), for every window alike, or one for each."""
        bias = self.bias_table[self.bias_index].permute(2, 0, 1)  # (heads, 49, 49)
        if not self.shift:
            return bias
        mask = shift_mask(grid, self.shift, bias.device)
        return (bias + mask[:, None]).flatten(0, 1)


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

    def forward(self, qkv: Tensor, size: Size) -> Tensor:
        """Queries, keys, values (N, H, W, 3, C), in windows of a size -> (N, H, W, C)."""
        n, rows, columns, _, channels = qkv.shape
        grid = grid_of(qkv, size)
        pad_y, pad_x = grid[0] * size[0] - rows, grid[1] * size[1] - columns
        top, left = pad_y // 2, pad_x // 2
        qkv = F.pad(qkv.flatten(3), (0, 0, left, pad_x - left, top, pad_y - top))
        windows = partition(qkv, grid, size).flatten(0, 1)  # (N * windows, tokens, 3 C)
        q, k, v = windows.view(*windows.shape[:2], 3, self.heads, channels // self.heads).permute(
            2, 0, 3, 1, 4
        )
        out = F.scaled_dot_product_attention(q, k, v)  # (N * windows, heads, tokens, C / heads)
        out = out.transpose(1, 2).flatten(2)
        values = windows[..., -channels:].transpose(1, 2).reshape(len(windows), channels, *size)
        out = out + self.lepe(values).flatten(2).transpose(1, 2)
        x = merge(out.reshape(n, grid[0] * grid[1], size[0] * size[1], channels), grid, size)
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
        outs = [branch(part, size) for branch, part, size in zip(self.branches, qkv, sizes)]
        return self.proj(torch.cat(outs, dim=-1))


def checked_heads(mixer: str, channels: int, heads: int) -> int:
    """``heads``, if C can be divided among them."""
    if heads < 1 or channels % heads:
        raise ValueError(f'mixer {mixer}: {channels} channels do not divide among {heads} heads')
    return heads
