"""SpineNet, a backbone of permuted scales (Du et al., 2020)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.pretrained import PretrainedBackbone
from mmcednet.models.utils import are_integers, init_layer

STEM_CHANNELS = 64
CHANNELS = {2: 64, 3: 128, 4: 256, 5: 256, 6: 256, 7: 256}  # of the blocks, by level
EXPANSION = 4  # of a bottleneck block
OUT_LEVELS = (3, 4, 5, 6, 7)
EPS = 1e-3


class BlockSpec(NamedTuple):
    """A block of the network that the architecture search found (section 3.2, Figure 5)."""

    level: int  # stride 2^level
    bottleneck: bool  # otherwise a residual block of two 3x3 convolutions
    parents: tuple[int, int]  # indices of two earlier blocks
    is_output: bool = False
    added: int | None = None  # an earlier block that no other uses and that has the same shape


STEM = (BlockSpec(2, True, (0, 0)), BlockSpec(2, True, (0, 0)))  # in sequence: no parents to resample
BLOCKS = (
    BlockSpec(2, True, (0, 1)),
    BlockSpec(4, False, (0, 1)),
    BlockSpec(3, True, (2, 3)),
    BlockSpec(4, True, (2, 4)),
    BlockSpec(6, False, (3, 5)),
    BlockSpec(4, True, (3, 5)),
    BlockSpec(5, False, (6, 7)),
    BlockSpec(7, False, (6, 8)),
    BlockSpec(5, True, (8, 9)),
    BlockSpec(5, True, (8, 10)),
    BlockSpec(4, True, (5, 10), is_output=True),
    BlockSpec(3, True, (4, 10), is_output=True),
    BlockSpec(5, True, (7, 12), is_output=True, added=11),
    BlockSpec(7, True, (5, 14), is_output=True),
    BlockSpec(6, True, (12, 14), is_output=True),
)


class ConvNorm(nn.Module):
    """Convolution without a bias, BatchNorm with momentum 0.01 and epsilon 1e-3, and ReLU.

    Args:
        in_channels: Channels of the input, (N, C, H, W).
        out_channels: Channels of the output.
        kernel: Size of the square kernel, odd.
        stride: The output is (N, out_channels, ceil(H / stride), ceil(W / stride)). Default: 1.
        act: Whether ReLU follows. Default: True.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=EPS, momentum=0.01)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x.relu() if self.act else x


class ResidualBlock(nn.Module):
    """A block of ResNet: two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1.

    The last norm starts with weights of 0, so that the block is the identity.

    Args:
        in_channels: Channels of the input, (N, C, H, W). If the output has others, a 1x1 convolution
            is on the shortcut.
        channels: Channels of the 3x3 convolutions.
        bottleneck: Whether it is a bottleneck, whose output has four times as many channels.
    """

    def __init__(self, in_channels: int, channels: int, bottleneck: bool) -> None:
        super().__init__()
        out_channels = channels * EXPANSION if bottleneck else channels
        self.conv1 = ConvNorm(in_channels, channels, kernel=1 if bottleneck else 3)
        self.conv2 = ConvNorm(channels, channels, kernel=3, act=bottleneck)
        self.conv3 = ConvNorm(channels, out_channels, kernel=1, act=False) if bottleneck else None
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = ConvNorm(in_channels, out_channels, kernel=1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        if self.conv3 is not None:
            y = self.conv3(y)
        if self.shortcut is not None:
            x = self.shortcut(x)
        return (x + y).relu()

    def init_last_norm(self) -> None:
        last = self.conv2 if self.conv3 is None else self.conv3
        nn.init.zeros_(last.norm.weight)


class Resample(nn.Module):
    """Brings the output of a block to the size and channels of another (section 3.1, Figure 4).

    A 1x1 convolution changes the channels before the map is resized: downsampled by a 3x3 convolution
    of stride 2 and, beyond a factor of 2, by max pooling; or upsampled to the nearest pixel. Another
    1x1 convolution gives the new channels, without an activation.

    Args:
        in_channels: Channels of the input.
        channels: Channels at which the map is resized.
        out_channels: Channels of the output.
        halvings: How many times the map is downsampled by 2; negative: upsampled.
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int, halvings: int) -> None:
        super().__init__()
        self.squeeze = ConvNorm(in_channels, channels, kernel=1)
        self.downsample = None
        if halvings > 0:
            self.downsample = ConvNorm(channels, channels, kernel=3, stride=2)
        self.pool_stride = 2 ** (halvings - 1) if halvings > 1 else 1
        self.expand = ConvNorm(channels, out_channels, kernel=1, act=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, C, H, W) -> (N, out_channels, H', W'), where ``size`` is (H', W')."""
        x = self.squeeze(x)
        if self.downsample is not None:
            x = self.downsample(x)
        if self.pool_stride > 1:
            kernel = 3 if self.pool_stride == 2 else 5
            x = F.max_pool2d(x, kernel, self.pool_stride, padding=kernel // 2)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode='nearest')
        return self.expand(x)


def count_channels(spec: BlockSpec, channels: dict[int, int]) -> int:
    """Channels of a block's output.

    Args:
        spec: The block.
        channels: Channels of the 3x3 convolutions of each level.
    """
    return channels[spec.level] * (EXPANSION if spec.bottleneck else 1)


def build_blocks(
    spec: BlockSpec, in_channels: int, channels: dict[int, int], repeats: int
) -> nn.Sequential:
    """Build the residual blocks of a block; the first takes ``in_channels``."""
    widths = [in_channels] + [count_channels(spec, channels)] * (repeats - 1)
    return nn.Sequential(
        *(ResidualBlock(width, channels[spec.level], spec.bottleneck) for width in widths)
    )


class Merge(nn.ModuleList):
    """The sum of both parents of a block, each resampled to its level and channels.

    Args:
        spec: The block.
        channels: Channels of the 3x3 convolutions of each level.
        alpha: As for :class:`SpineNet`.
    """

    def __init__(self, spec: BlockSpec, channels: dict[int, int], alpha: float) -> None:
        parents = [(STEM + BLOCKS)[parent] for parent in spec.parents]
        super().__init__(
            Resample(
                count_channels(parent, channels),
                int(channels[parent.level] * alpha),
                count_channels(spec, channels),
                spec.level - parent.level,
            )
            for parent in parents
        )

    def forward(self, parents: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """(N, C_i, H_i, W_i) each -> (N, C, H, W), where ``size`` is (H, W)."""
        first, second = (resample(x, size) for resample, x in zip(self, parents))
        return first + second


@MODELS.register_module()
class SpineNet(PretrainedBackbone):
    """SpineNet: after a stem, blocks of levels 2 to 7 in the order of an architecture search.

    Each block takes two earlier ones, resampled to its own level and channels, and their sum through
    ReLU. The five output blocks go through a 1x1 convolution each, and then directly into a head
    (``neck=None``). Feature maps are upsampled to the size of their target, so images of any size work.

    Args:
        repeats: Residual blocks in each block (section 3.3): 1 for SpineNet-49, 2 for -96, 3 for -143.
            Default: 1.
        alpha: Channels at which the maps are resized, relative to those of the input block's 3x3
            convolutions: 0.5 for SpineNet-49 and -96, 1.0 for -143. Default: 0.5.
        width: Factor of all blocks' channels. Default: 1.0.
        out_channels: Channels of the outputs. Default: 256.
        output_act: Whether ReLU follows the output convolutions, as in the authors' TensorFlow code.
            The published PyTorch checkpoints were trained without it. Default: True.
        init_cfg: Initialization config of mmengine; ``dict(type='Pretrained', checkpoint=...)`` may
            name a converted detector. Default: None.

    Raises:
        ValueError: A number is not positive, or so small that no channels are left.
    """

    needs_pretraining = False

    def __init__(
        self,
        repeats: int = 1,
        alpha: float = 0.5,
        width: float = 1.0,
        out_channels: int = 256,
        output_act: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not are_integers([repeats, out_channels], 2, minimum=1):
            raise ValueError(
                f'repeats {repeats!r} and out_channels {out_channels!r} must be positive integers'
            )
        channels = {level: int(number * width) for level, number in CHANNELS.items()}
        if min(channels[2], int(channels[2] * alpha)) < 1:
            raise ValueError(
                f'width {width!r} and alpha {alpha!r} leave no channels; '
                f'{CHANNELS[2]} * width * alpha must be at least 1'
            )
        self.stem = ConvNorm(3, STEM_CHANNELS, kernel=7, stride=2)
        first, second = STEM
        self.stem_blocks = nn.ModuleList(
            [
                build_blocks(first, STEM_CHANNELS, channels, repeats),
                build_blocks(second, count_channels(first, channels), channels, repeats),
            ]
        )
        self.blocks = nn.ModuleList(
            build_blocks(spec, count_channels(spec, channels), channels, repeats) for spec in BLOCKS
        )
        self.merges = nn.ModuleList(Merge(spec, channels, alpha) for spec in BLOCKS)
        self.outputs = nn.ModuleDict(
            {
                str(spec.level): ConvNorm(
                    count_channels(spec, channels), out_channels, 1, act=output_act
                )
                for spec in BLOCKS
                if spec.is_output
            }
        )
        self.apply(init_layer)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                module.init_last_norm()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> P3..P7: (N, out_channels, ceil(H / 2^level), ceil(W / 2^level)) each."""
        x = F.max_pool2d(self.stem(x), 3, stride=2, padding=1)
        features = []
        for blocks in self.stem_blocks:
            x = blocks(x)
            features.append(x)
        sizes = {2: tuple(x.shape[-2:])}
        for level in range(3, 8):
            height, width = sizes[level - 1]
            sizes[level] = ((height + 1) // 2, (width + 1) // 2)
        outs = {}
        for spec, merge, blocks in zip(BLOCKS, self.merges, self.blocks):
            x = merge([features[parent] for parent in spec.parents], sizes[spec.level])
            if spec.added is not None:
                x = x + features[spec.added]
            features.append(blocks(x.relu()))
            if spec.is_output:
                outs[spec.level] = self.outputs[str(spec.level)](features[-1])
        return tuple(outs[level] for level in OUT_LEVELS)
