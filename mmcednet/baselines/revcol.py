"""RevCol: reversible column networks (Cai et al., ICLR 2023)."""

from collections.abc import Sequence
from functools import partial

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.blocks import list_modules, set_drop_path
from mmcednet.models.execution import use_kernels
from mmcednet.models.kernels import is_traced
from mmcednet.models.layers import (
    EPS,
    MLP,
    DropPath,
    LayerNorm2d,
    build_downsample,
    resize_to,
    to_channels_first,
    to_channels_last,
)
from mmcednet.models.pretrained import PretrainedBackbone
from mmcednet.models.utils import are_integers, check_choice, init_truncated, unify_levels

from .reversible import Level, compute_columns, compute_columns_reversibly

MIN_SIZE = 32
LAYER_SCALE = 1e-6  # initial scale of a block's MLP
SHORTCUT = 0.5  # initial scale of the connections between columns
DECAY_TYPE = 'layer_wise'


class ConvBlock(nn.Module):
    """ConvNeXt's block with a 3x3 kernel, x + DropPath(gamma * MLP(LN(DW3x3(x)))), for (N, C, H, W).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = LayerNorm2d(channels)
        self.mlp = MLP(channels, LAYER_SCALE)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(to_channels_last(self.norm(self.dwconv(x))))
        return x + self.drop_path(to_channels_first(y))


class RevColLevel(Level):
    """Fusion of the level below and the level above, then blocks (section 2.3, Figure 2c).

    Args:
        channels: C of all levels, finest first.
        index: Index of this level, which is at stride 2^(index + 2).
        blocks: Number of blocks.
        first: Whether it is in the first column, which has no column before it.
    """

    def __init__(self, channels: Sequence[int], index: int, blocks: int, first: bool) -> None:
        super().__init__(channels[index], None if first else SHORTCUT)
        width = channels[index]
        self.down: nn.Module = nn.Identity()
        if index > 0:
            self.down = build_downsample(channels[index - 1], width, LayerNorm2d)
        self.up: nn.Sequential | None = None
        if not first and index + 1 < len(channels):
            self.up = nn.Sequential(nn.Linear(channels[index + 1], width), nn.LayerNorm(width, eps=EPS))
        self.blocks = nn.Sequential(*(ConvBlock(width) for _ in range(blocks)))

    def forward(self, below: Tensor, above: Tensor | None) -> Tensor:
        x = self.down(below)
        if self.up is not None and above is not None:
            up = to_channels_first(self.up(to_channels_last(above)))
            x = x + resize_to(up, x, 'nearest')
        return self.blocks(x)


@MODELS.register_module()
class RevCol(PretrainedBackbone):
    """The RevCol backbone: columns with reversible connections; the last column's levels are returned.

    Args:
        channels: Channels at strides 4, 8, 16, 32. Default: (64, 128, 256, 512), of RevCol-T and -S.
        blocks: Number of blocks of a column at these strides. Default: (2, 2, 4, 2).
        num_columns: Default: 4, RevCol-T; -S has 8, and -B 16 of (1, 1, 3, 2) blocks with channels
            (72, 144, 288, 576).
        drop_path_rate: Stochastic depth rate of the last block of each column; the rates of the others
            increase linearly from 0. Default: 0.
        reversible: The backward pass computes again what is in the columns instead of keeping it in
            memory; this takes about the time of another forward pass. Not for FSDP. Default: True.
        keep_every: Features of every ``keep_every``-th column are kept for it, and those of the others
            follow from the next column's (section 2.2). With 1 they are exact. With ``num_columns`` the
            memory does not depend on the number of columns, but rounding errors grow about fourfold per
            column: in float32 the gradient of an untrained RevCol-B is off by 40 %. Default: 1.
        init_cfg: Initialization config of mmengine; ``dict(type='Pretrained', checkpoint=...)`` may
            name a converted classifier, detector or segmenter. Default: None.

    Attributes:
        out_channels: Channels of each feature that :meth:`forward` returns.
        out_strides: Stride of each of these features.

    Raises:
        ValueError: An argument is invalid.
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 4, 2),
        num_columns: int = 4,
        drop_path_rate: float = 0.0,
        reversible: bool = True,
        keep_every: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, values in (('channels', channels), ('blocks', blocks)):
            if not are_integers(values, 4, minimum=1):
                raise ValueError(f'{name} {values} must be four positive integers')
        for name, value in (('num_columns', num_columns), ('keep_every', keep_every)):
            if not are_integers([value], 1, minimum=1):
                raise ValueError(f'{name} {value} must be a positive integer')
        self.num_blocks = tuple(blocks)
        self.reversible = reversible
        self.keep_every = keep_every
        self.out_channels = tuple(channels)
        self.out_strides = (4, 8, 16, 32)
        self.stem = nn.Sequential(nn.Conv2d(3, channels[0], 4, stride=4), LayerNorm2d(channels[0]))
        self.columns = nn.ModuleList(
            nn.ModuleList(RevColLevel(channels, i, blocks[i], first=column == 0) for i in range(4))
            for column in range(num_columns)
        )
        for column in self.columns:
            set_drop_path(list_modules(column, ConvBlock), drop_path_rate, sum(blocks))
        self.apply(partial(init_truncated, kinds=(nn.Conv2d, nn.Linear)))
        use_kernels(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of images.

        Args:
            x: Images (N, 3, H, W), H and W at least 32 pixels.

        Returns:
            (N, ``out_channels[i]``, H / ``out_strides[i]``, W / ``out_strides[i]``) for each i; H and W
            are rounded down at each of these steps.

        Raises:
            ValueError: The images are smaller than 32x32.
        """
        if min(x.shape[-2:]) < MIN_SIZE:
            raise ValueError(
                f'the images are {x.shape[-2]}x{x.shape[-1]} pixels; '
                f'RevCol needs at least {MIN_SIZE}x{MIN_SIZE}'
            )
        x = self.stem(x)
        trained = torch.is_grad_enabled() and any(p.requires_grad for p in self.columns.parameters())
        if self.reversible and trained and not is_traced():
            features = compute_columns_reversibly(self.columns, x, self.keep_every)
        else:
            features = compute_columns(self.columns, x)
        return unify_levels(features)

    def get_decay_depth(self, name: str, decay_type: str) -> int:
        """Depth of a parameter for layer-wise learning-rate decay, from 0 at the image.

        A block at index b of its column's sum(blocks) blocks, in column c, both from 0, has depth
        b + c + 1. A level's fusion has the depth of its first block, its shortcut that of the column's
        first block; the stem's is 0.

        Args:
            name: Name of the parameter, without 'backbone.'.
            decay_type: 'layer_wise'.

        Raises:
            ValueError: The backbone has no such parameter, or ``decay_type`` is unknown.
        """
        check_choice('decay_type', decay_type, (DECAY_TYPE,))
        try:
            self.get_parameter(name)
        except AttributeError:
            raise ValueError(f'{type(self).__name__} has no parameter {name!r}') from None
        part, *rest = name.split('.')
        if part == 'stem':
            return 0
        column, level, kind, *rest = rest
        if kind == 'gamma':
            return int(column) + 1
        block = int(rest[0]) if kind == 'blocks' else 0
        return sum(self.num_blocks[: int(level)]) + block + int(column) + 1
