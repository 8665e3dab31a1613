"""Focal Transformer ("Focal Self-attention for Local-Global Interactions in Vision Transformers").

The tokens of a window attend to those within 3 tokens of it one by one, and to the windows around it by
one pooled token each. Features are channels-last, (N, H, W, C), between the first and the last layer.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.blocks import list_modules, set_drop_path
from mmcednet.models.execution import use_kernels
from mmcednet.models.layers import MLP, DropPath
from mmcednet.models.mixers import (
    MASKED,
    WINDOW,
    WINDOW_SIZE,
    Grid,
    compute_grid,
    compute_relative_position_index,
    register_indices,
    window_partition,
    window_reverse,
)
from mmcednet.models.pretrained import PretrainedBackbone
from mmcednet.models.utils import are_integers, init_truncated, unify_levels

EXPAND = 3  # tokens around a window that it attends to one by one
REGION = WINDOW + 2 * EXPAND  # side of a window with these neighbours
TOKENS = WINDOW**2
# The neighbours are those of the window after a shift by 3 tokens towards each corner, as in the
# published code; 12 of them are in two of these windows and have two biases.
CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
NEIGHBOURS = len(CORNERS) * (TOKENS - (WINDOW - EXPAND) ** 2)
PATCH = 4  # px, side of the first layer's patches
TABLE_TO_WINDOWS = '.relative_position_bias_table_to_windows'


def compute_region_index() -> Tensor:
    """For each of a region's 169 tokens, row by row, its one or two position biases, (169, 2).

    The biases are 49 for the window's tokens, 132 for its neighbours, and one for no token.
    """
    window = list(product(range(WINDOW), range(WINDOW)))
    columns = {token: [index] for index, token in enumerate(window)}
    index = TOKENS
    for dy, dx in CORNERS:
        for y, x in window:
            token = (y + EXPAND * dy, x + EXPAND * dx)
            if token not in window:
                columns.setdefault(token, []).append(index)
                index += 1
    positions = range(-EXPAND, WINDOW + EXPAND)
    region = product(positions, positions)
    return torch.tensor([(columns[token] + [index])[:2] for token in region])


def compute_windows_index(focal_window: int) -> Tensor:
    """For each of a window's tokens and each pooled token, its place in their table, (49, F * F)."""
    size = WINDOW + focal_window - 1
    offset = torch.arange(WINDOW)[:, None] - torch.arange(focal_window) + focal_window - 1  # (7, F)
    index = offset[:, None, :, None] * size + offset[None, :, None, :]  # (7, 7, F, F)
    return index.reshape(TOKENS, focal_window**2)


def wrap(x: Tensor, number: int) -> Tensor:
    """Continue (N, H, W, C) cyclically by ``number`` rows and columns on all sides."""
    x = torch.cat((x[:, -number:], x, x[:, :number]), 1)
    return torch.cat((x[:, :, -number:], x, x[:, :, :number]), 2)


def make_outside_mask(grid: Grid, focal_window: int, device: torch.device) -> Tensor:
    """Attention mask of the windows outside the image.

    Args:
        grid: Number of windows.
        focal_window: F, side of the square of windows around each window.
        device: Device of the mask.

    Returns:
        (windows, F * F): -100 outside the image, 0 inside.
    """
    offset = torch.arange(focal_window, device=device) - focal_window // 2
    rows, columns = (torch.arange(size, device=device)[:, None] + offset for size in grid)
    outside_y, outside_x = (rows < 0) | (rows >= grid[0]), (columns < 0) | (columns >= grid[1])
    outside = outside_y[:, None, :, None] | outside_x[None, :, None, :]  # (rows, columns, F, F)
    return MASKED * outside.flatten(2).flatten(0, 1).float()


class FocalAttention(nn.Module):
    """Focal self-attention with two levels (paper, section 3.2), in windows of 7x7 tokens.

    Features are padded at the right and the bottom to a multiple of 7, and continue cyclically.

    Args:
        channels: C.
        num_heads: Number of heads.
        focal_window: F; a window attends to the F x F windows around it, pooled to one token each.
    """

    region_index: Tensor
    windows_index: Tensor
    relative_position_index: Tensor

    def __init__(self, channels: int, num_heads: int, focal_window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.focal_window = focal_window
        self.pool = nn.Linear(TOKENS, 1)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        # The names of the tables let the optimizers of Swin find them
        self.relative_position_bias_table = make_table((2 * WINDOW - 1) ** 2, num_heads)
        self.relative_position_bias_table_to_neighbors = make_table(1, num_heads, TOKENS, NEIGHBOURS)
        self.relative_position_bias_table_to_windows = make_table(
            num_heads, (WINDOW + focal_window - 1) ** 2
        )
        register_indices(
            self,
            relative_position_index=compute_relative_position_index,
            region_index=compute_region_index,
            windows_index=partial(compute_windows_index, focal_window),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> the same."""
        height, width, channels = x.shape[1:]
        grid = compute_grid(x, WINDOW_SIZE)
        x = F.pad(x, (0, 0, 0, WINDOW * grid[1] - width, 0, WINDOW * grid[0] - height))
        q, kv = self.qkv(x).split((channels, 2 * channels), -1)
        near = self.gather(wrap(kv, EXPAND), REGION, WINDOW)  # 169 tokens per window

        pooled = self.pool(window_partition(x, grid, WINDOW_SIZE).transpose(2, 3))
        pooled = pooled.view(len(x), *grid, channels)
        kv = F.linear(pooled, self.qkv.weight[channels:], self.qkv.bias[channels:])
        border = self.focal_window // 2
        far = self.gather(F.pad(kv, (0, 0, border, border, border, border)), self.focal_window, 1)

        k, v = torch.cat((near, far), 3)
        # The fast kernels of scaled_dot_product_attention need 4D inputs: the windows, which have
        # different masks, are folded into the heads.
        q = window_partition(q, grid, WINDOW_SIZE).unflatten(-1, (self.num_heads, -1))
        q = q.transpose(2, 3).flatten(1, 2)  # (N, windows * heads, 49, C / heads)
        bias = self.compute_bias(grid).to(q.dtype)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out = out.unflatten(1, (-1, self.num_heads)).transpose(2, 3).flatten(3)
        return self.proj(window_reverse(out, grid, WINDOW_SIZE)[:, :height, :width])

    def gather(self, kv: Tensor, size: int, stride: int) -> Tensor:
        """Keys and values of the square region of each window.

        Args:
            kv: (N, H, W, 2C).
            size: Side of a region.
            stride: Distance of regions.

        Returns:
            (2, N, windows * heads, size * size, C / heads).
        """
        regions = kv.unfold(1, size, stride).unfold(2, size, stride)
        regions = regions.unflatten(3, (2, self.num_heads, -1))
        # (N, rows, columns, 2, heads, C / heads, size, size)
        return regions.permute(3, 0, 1, 2, 4, 6, 7, 5).flatten(5, 6).flatten(2, 4)

    def compute_bias(self, grid: Grid) -> Tensor:
        """Position biases and masks, (1, windows * heads, 49, keys)."""
        window = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        neighbours = self.relative_position_bias_table_to_neighbors[0]
        none = torch.full_like(window[..., :1], MASKED)
        near = torch.cat((window, neighbours, none), -1)  # (heads, 49, 182)
        # Attending twice to the same token adds the exponentials
        near = torch.logaddexp(near[..., self.region_index[:, 0]], near[..., self.region_index[:, 1]])
        far = self.relative_position_bias_table_to_windows[:, self.windows_index]  # (heads, 49, F * F)
        mask = make_outside_mask(grid, self.focal_window, far.device)
        mask = F.pad(mask, (REGION**2, 0))[:, None, None]  # (windows, 1, 1, keys)
        return (torch.cat((near, far), -1) + mask).flatten(0, 1)[None]


def make_table(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))


def resize_table(table: Tensor, size: int) -> Tensor:
    """Resize a table of position biases, (heads, S * S), bilinearly to (heads, size * size)."""
    old = round(table.shape[-1] ** 0.5)
    if old == size:
        return table
    square = table.view(1, -1, old, old)
    return F.interpolate(square, (size, size), mode='bilinear').flatten(2)[0]


class FocalBlock(nn.Module):
    """x + DropPath(attention(LN(x))), then x + DropPath(MLP(LN(x))).

    Args:
        channels, num_heads, focal_window: As for :class:`FocalAttention`.
    """

    def __init__(self, channels: int, num_heads: int, focal_window: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = FocalAttention(channels, num_heads, focal_window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbedding(nn.Module):
    """A linear layer of the pixels of each patch, then LN: (N, C, H, W) -> (N, H', W', C').

    The input is padded at the right and the bottom to a multiple of the patch.

    Args:
        in_channels: C.
        channels: C'.
        patch: Side of a patch.
    """

    def __init__(self, in_channels: int, channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(in_channels, channels, patch, stride=patch)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[3] % self.patch, 0, -x.shape[2] % self.patch))
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


@MODELS.register_module()
class FocalTransformer(PretrainedBackbone):
    """Focal Transformer without convolutional embedding (paper, section 3), as a backbone.

    Stage i has embed_dims * 2^i channels at stride 4 * 2^i. As in Swin's detectors and segmenters, each
    output has its own LayerNorm.

    Args:
        embed_dims: Channels of the first stage. Default: 96.
        depths: Number of blocks of each stage. Default: (2, 2, 6, 2), Focal-Tiny.
        num_heads: Number of attention heads of each stage. Default: (3, 6, 12, 24).
        focal_windows: Odd; blocks of stage i attend to focal_windows[i] x focal_windows[i] pooled
            windows. Default: (15, 13, 9, 7), for detection; ImageNet classifiers have (7, 5, 3, 1),
            whose position biases are resized when they are loaded.
        drop_path_rate: Stochastic depth rate of the last block, in [0, 1); it grows linearly from 0.
            Default: 0.2.
        init_cfg: Initialization config of mmengine; ``dict(type='Pretrained', checkpoint=...)`` may
            name a converted classifier or segmenter. Default: None.

    Raises:
        ValueError: Lengths differ, a number is not positive, a focal window is even, or channels cannot
            be split into heads.
    """

    def __init__(
        self,
        embed_dims: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        focal_windows: Sequence[int] = (15, 13, 9, 7),
        drop_path_rate: float = 0.2,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.out_channels = check_stages(embed_dims, depths, num_heads, focal_windows)
        self.patch_embed = PatchEmbedding(3, embed_dims, PATCH)
        self.stages = nn.ModuleList(
            nn.Sequential(*(FocalBlock(channels, heads, window) for _ in range(depth)))
            for channels, depth, heads, window in zip(
                self.out_channels, depths, num_heads, focal_windows
            )
        )
        self.downsamples = nn.ModuleList(
            PatchEmbedding(channels, 2 * channels, 2) for channels in self.out_channels[:-1]
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.out_channels)
        set_drop_path(list_modules(self.stages, FocalBlock), drop_path_rate, sum(depths))
        self.apply(init_truncated)
        use_kernels(self)

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Resize the biases to pooled tokens of classifiers, which have smaller focal windows."""
        target = self.state_dict()
        sides = {key: round(target[key].shape[-1] ** 0.5) for key in weights if TABLE_TO_WINDOWS in key}
        return weights | {key: resize_table(weights[key], side) for key, side in sides.items()}

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> one feature (N, C, H', W') per stage, finest first; sizes are rounded up."""
        x = self.patch_embed(x)
        outs = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.norms)):
            if i:
                x = self.downsamples[i - 1](x.permute(0, 3, 1, 2))
            x = stage(x)
            outs.append(norm(x).permute(0, 3, 1, 2))
        return unify_levels(outs)


def check_stages(
    embed_dims: int, depths: Sequence[int], num_heads: Sequence[int], focal_windows: Sequence[int]
) -> tuple[int, ...]:
    """Check the arguments of :class:`FocalTransformer`; return the channels of each stage."""
    if type(embed_dims) is not int or embed_dims < 1:
        raise ValueError(f'embed_dims {embed_dims!r} must be a positive integer')
    stages = len(depths)
    for name, values in dict(depths=depths, num_heads=num_heads, focal_windows=focal_windows).items():
        if not are_integers(values, stages, 1):
            raise ValueError(f'{name} {values!r} must be a sequence of {stages} positive integers')
    channels = tuple(embed_dims * 2**i for i in range(stages))
    for width, heads, window in zip(channels, num_heads, focal_windows):
        if width % heads:
            raise ValueError(f'{width} channels are not divisible by {heads} heads of num_heads')
        if window % 2 == 0:
            raise ValueError(f'focal window {window} must be odd, to be centred on a window')
    return channels
