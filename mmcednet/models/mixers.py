"""The attention token mixers of Table 5: windows (Swin) and cross-shaped windows (CSWin).

A mixer takes and returns channels-last features, (N, H, W, C), of any H and W.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 7
HEAD_CHANNELS = 32
MASKED = -100.0  # as in Swin's code; exp(-100) is negligible


Grid = tuple[int, int]  # number of windows vertically and horizontally
Size = tuple[int, int]  # height and width of a window, in tokens
WINDOW_SIZE: Size = (WINDOW, WINDOW)


def compute_grid(x: Tensor, size: Size) -> Grid:
    """Number of windows that cover (N, H, W, ...)."""
    # not -(-H // size): ONNX rounds a quotient towards zero
    return (x.shape[1] + size[0] - 1) // size[0], (x.shape[2] + size[1] - 1) // size[1]


def window_partition(x: Tensor, grid: Grid, size: Size) -> Tensor:
    """Split (N, H, W, C), where H and W are the grid times the size, to (N, windows, tokens, C)."""
    n, channels = x.shape[0], x.shape[-1]
    x = x.reshape(n, grid[0], size[0], grid[1], size[1], channels)
    return x.transpose(2, 3).reshape(n, grid[0] * grid[1], size[0] * size[1], channels)


def window_reverse(windows: Tensor, grid: Grid, size: Size) -> Tensor:
    """Inverse of :func:`window_partition`: (N, windows, tokens, C) back to (N, H, W, C)."""
    n, channels = windows.shape[0], windows.shape[-1]
    x = windows.reshape(n, *grid, *size, channels)
    return x.transpose(2, 3).reshape(n, grid[0] * size[0], grid[1] * size[1], channels)


def make_shift_mask(grid: Grid, shift: int, device: torch.device) -> Tensor:
    """Attention mask of cyclically shifted windows, which hold tokens from opposite image borders.

    Args:
        grid: Number of windows.
        shift: Number of tokens by which the features were rolled up and left.
        device: Device of the mask.

    Returns:
        (windows, 49, 49): 0 between tokens of one region, -100 between different regions.
    """
    # The roll moved the first rows behind the last rows, into their window; likewise the columns.
    height, width = WINDOW * grid[0], WINDOW * grid[1]
    row = (torch.arange(height, device=device) >= height - shift).float()
    column = (torch.arange(width, device=device) >= width - shift).float()
    region = 2 * row[:, None] + column
    region = window_partition(region[None, :, :, None], grid, WINDOW_SIZE)[0, :, :, 0]  # (windows, 49)
    different = region[:, :, None] != region[:, None, :]
    return torch.zeros(different.shape, device=device).masked_fill_(different, MASKED)


def compute_relative_position_index() -> Tensor:
    """For each pair of a window's 49 tokens, its row of the relative position bias table, (49, 49)."""
    y, x = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing='ij')
    y, x = y.flatten(), x.flatten()
    dy, dx = y[:, None] - y + WINDOW - 1, x[:, None] - x + WINDOW - 1
    return dy * (2 * WINDOW - 1) + dx


def register_indices(attention: nn.Module, **indices: Callable[[], Tensor]) -> None:
    """Give a module buffers of its parameters' device, which are not in checkpoints.

    Args:
        attention: Has its parameters already.
        indices: What computes the buffer of this name: now, and when weights are loaded, as a network
            that was built on the device 'meta' has none.
    """
    for name, compute in indices.items():
        attention.register_buffer(name, compute(), persistent=False)
    attention.register_load_state_dict_post_hook(partial(restore_indices, indices))


def restore_indices(indices: dict[str, Callable[[], Tensor]], attention: nn.Module, _: Any) -> None:
    device = next(attention.parameters()).device
    for name, compute in indices.items():
        setattr(attention, name, compute().to(device))


class WindowAttention(nn.Module):
    """Self-attention in windows of 7x7 tokens with a relative position bias.

    Features are padded at the right and the bottom to a multiple of 7. The number of heads is C // 32.

    Args:
        channels: C.
        shifted: Shift the windows by 3 tokens, to connect neighbouring windows.

    Raises:
        ValueError: C is not divisible by the number of heads.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, shifted: bool) -> None:
        super().__init__()
        self.num_heads = channels // HEAD_CHANNELS
        check_num_heads('window', channels, self.num_heads)
        self.shift = WINDOW // 2 if shifted else 0
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        table = torch.empty((2 * WINDOW - 1) ** 2, self.num_heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        register_indices(self, relative_position_index=compute_relative_position_index)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> the same."""
        height, width = x.shape[1:3]
        grid = compute_grid(x, WINDOW_SIZE)
        x = F.pad(x, (0, 0, 0, WINDOW * grid[1] - width, 0, WINDOW * grid[0] - height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))

        windows = window_partition(x, grid, WINDOW_SIZE)  # (N, windows, 49, C)
        x = window_reverse(self.proj(self.attend(windows, grid)), grid, WINDOW_SIZE)

        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def attend(self, windows: Tensor, grid: Grid) -> Tensor:
        """Self-attention within each window: (N, windows, 49, C) -> the same."""
        n, num_windows, tokens, channels = windows.shape
        head_channels = channels // self.num_heads
        qkv = self.qkv(windows).view(n, num_windows, tokens, 3, self.num_heads, head_channels)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)  # (3, N, windows, heads, 49, C / heads)
        bias = self.relative_position_bias_table[self.relative_position_index]
        bias = bias.permute(2, 0, 1)  # (heads, 49, 49)
        # The fast kernels of scaled_dot_product_attention need 4D inputs: fold the windows into the
        # heads if each window has its own mask, otherwise into the batch.
        if self.shift:
            mask = make_shift_mask(grid, self.shift, bias.device)  # (windows, 49, 49)
            bias = (bias + mask[:, None]).flatten(0, 1)  # (windows * heads, 49, 49)
            qkv = qkv.flatten(2, 3)  # (3, N, windows * heads, 49, C / heads)
        else:
            qkv = qkv.flatten(1, 2)  # (3, N * windows, heads, 49, C / heads)
        q, k, v = qkv
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].to(q.dtype))
        out = out.view(n, num_windows, self.num_heads, tokens, head_channels)
        return out.transpose(2, 3).flatten(3)


class StripeAttention(nn.Module):
    """Self-attention in windows of a given size, plus a depth-wise 3x3 of the values (LePE).

    The convolution stays within each window. Features are padded with zeros, centred.

    Args:
        channels: C.
        num_heads: Number of heads.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.lepe = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, qkv: Tensor, grid: Grid, size: Size) -> Tensor:
        """Attend in a grid of windows of ``size``: q, k, v (N, H, W, 3, C) -> (N, H, W, C)."""
        n, rows, columns, _, channels = qkv.shape
        pad_y, pad_x = grid[0] * size[0] - rows, grid[1] * size[1] - columns
        # pad // 2, which torch's exporter would split into quotients of negative numbers
        top, left = (pad_y + 2 * rows) // 2 - rows, (pad_x + 2 * columns) // 2 - columns
        qkv = F.pad(qkv.flatten(3), (0, 0, left, pad_x - left, top, pad_y - top))
        windows = window_partition(qkv, grid, size).flatten(0, 1)  # (N * windows, tokens, 3 C)
        q, k, v = windows.view(
            *windows.shape[:2], 3, self.num_heads, channels // self.num_heads
        ).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)  # (N * windows, heads, tokens, C / heads)
        out = out.transpose(1, 2).flatten(2)
        values = windows[..., -channels:].transpose(1, 2).reshape(-1, channels, *size)
        out = out + self.lepe(values).flatten(2).transpose(1, 2)
        x = window_reverse(out.reshape(n, grid[0] * grid[1], size[0] * size[1], channels), grid, size)
        return x[:, top : top + rows, left : left + columns]


class CrossWindowAttention(nn.Module):
    """Self-attention in cross-shaped windows: half of the channels in columns, half in rows.

    Args:
        channels: C.
        num_heads: Number of heads, of both halves together.
        stripe: Width of a column and height of a row, in tokens; None attends globally, with all
            channels, over the whole feature map.

    Raises:
        ValueError: C is not divisible by the number of heads, or there are stripes and the number of
            heads is odd.
    """

    def __init__(self, channels: int, num_heads: int, stripe: int | None) -> None:
        super().__init__()
        check_num_heads('cross_window', channels, num_heads)
        if stripe and num_heads % 2:
            raise ValueError(f'mixer cross_window: num_heads {num_heads} must be even')
        self.stripe = stripe
        branches = 2 if stripe else 1
        self.qkv = nn.Linear(channels, 3 * channels)
        self.branches = nn.ModuleList(
            StripeAttention(channels // branches, num_heads // branches) for _ in range(branches)
        )
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> the same."""
        height, width = x.shape[1:3]
        grids: list[Grid] = [(1, 1)]
        sizes = [(height, width)]
        if self.stripe:
            rows, columns = compute_grid(x, (self.stripe, self.stripe))
            grids = [(1, columns), (rows, 1)]
            sizes = [(height, self.stripe), (self.stripe, width)]
        qkv = self.qkv(x).unflatten(-1, (3, -1)).chunk(len(sizes), dim=-1)
        outs = [branch(*args) for branch, *args in zip(self.branches, qkv, grids, sizes)]
        return self.proj(torch.cat(outs, dim=-1))


def check_num_heads(mixer: str, channels: int, num_heads: int) -> None:
    """Raise a ValueError if the channels cannot be split into heads."""
    if num_heads < 1 or channels % num_heads:
        raise ValueError(f'mixer {mixer}: {channels} channels are not divisible by {num_heads} heads')
