"""GiraffeDet's light backbone and heavy neck (Jiang et al., 2022)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.layers import resize_to
from mmcednet.models.pretrained import PretrainedBackbone
from mmcednet.models.utils import are_integers, init_layer

from .bifpn import downsample

STEM_CHANNELS = (32, 64)
INPUT = -1  # the layer of the neck's inputs


class ConvNormAct(nn.Module):
    """Convolution without a bias, BatchNorm and SiLU.

    Args:
        in_channels: Channels of the input, (N, C, H, W).
        out_channels: Channels of the output.
        kernel: Size of the square kernel, odd. Default: 1.
        stride: The output is (N, out_channels, ceil(H / stride), ceil(W / stride)). Default: 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


def space_to_depth(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 4C, ceil(H / 2), ceil(W / 2)): the pixels of each 2x2 window become channels.

    Odd heights and widths are padded with a row or column of zeros.
    """
    height, width = x.shape[-2:]
    return F.pixel_unshuffle(F.pad(x, (0, width % 2, 0, height % 2)), 2)


@MODELS.register_module()
class SpaceToDepthChain(PretrainedBackbone):
    """The backbone of GiraffeDet (section 3.1): a stem to stride 4, then a chain without blocks.

    Each step of the chain moves the pixels of 2x2 windows into the channels and mixes them by a 1x1
    convolution.

    Args:
        channels: Channels of the outputs, at strides 8, 16, 32 and so on. Default: (128, 256, 512,
            1024, 2048).
        init_cfg: Initialization config of mmengine; ``dict(type='Pretrained', checkpoint=...)`` may
            name a converted detector. Default: None.

    Raises:
        ValueError: ``channels`` are not positive integers.
    """

    needs_pretraining = False

    def __init__(
        self, channels: Sequence[int] = (128, 256, 512, 1024, 2048), init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        check_channels('channels', channels)
        first, second = STEM_CHANNELS
        self.stem = nn.Sequential(
            ConvNormAct(3, first, kernel=3, stride=2), ConvNormAct(first, second, kernel=3, stride=2)
        )
        self.steps = nn.ModuleList(
            ConvNormAct(4 * below, width) for below, width in zip([second, *channels], channels)
        )
        self.apply(init_layer)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> (N, C_i, ceil(H / 2^i), ceil(W / 2^i)) for i = 3, 4, 5 and so on."""
        x = self.stem(x)
        outs = []
        for step in self.steps:
            x = step(space_to_depth(x))
            outs.append(x)
        return tuple(outs)


def check_channels(name: str, channels: Sequence[int]) -> None:
    length = len(channels) if isinstance(channels, Sequence) else 0
    if not length or not are_integers(channels, length, minimum=1):
        raise ValueError(f'{name} {channels!r} must be one or more positive integers')


def list_sources(layer: int, level: int, num_levels: int) -> list[tuple[int, int]]:
    """List what a node of the neck takes, as (layer, level), in the order of concatenation.

    These are the same level of the layers 1, 2, 4, 8, ... before (the log2n links, the farthest first),
    the next level of the same layer, coarser in even layers, which go top-down, and finer in odd ones,
    and the next coarser and finer level of the layer before (queen fusion). Layer 0 takes the neck's
    inputs, layer -1, for the layer before.

    Args:
        layer: Layer of the node, from 0.
        level: Its level, from 0 for the finest.
        num_levels: Number of levels.
    """
    steps = [2**power for power in range(layer.bit_length())] or [1]
    links = [(layer - step, level) for step in reversed(steps)]
    neighbors = [
        (layer, level + 1 if layer % 2 == 0 else level - 1),
        (layer - 1, level + 1),
        (layer - 1, level - 1),
    ]
    return links + [(source, near) for source, near in neighbors if 0 <= near < num_levels]


class Node(nn.Module):
    """A node of the neck: its sources, concatenated, through conv1x1, SiLU, conv3x3 and BatchNorm.

    Args:
        in_channels: Channels of all sources together.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.act = nn.SiLU()
        self.conv = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.act(self.fuse(x))))


@MODELS.register_module()
class GeneralizedFPN(BaseModule):
    """The neck of GiraffeDet (section 3.2): layers that go top-down and bottom-up in turn.

    :func:`list_sources` has the links. Sources of the next coarser level are upsampled to the nearest
    pixel, those of the next finer level are max-pooled. A last layer of nodes, without links, gives the
    outputs.

    Args:
        in_channels: Channels of the inputs, finest first.
        channels: Channels of the layers.
        num_layers: Number of layers: 2d - 1 for GiraffeDet-Dd.
        out_channels: Channels of the outputs. Default: 256.
        init_cfg: Initialization config of mmengine. Default: None.

    Raises:
        ValueError: A number is not a positive integer.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        num_layers: int,
        out_channels: int = 256,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_channels('in_channels', in_channels)
        if not are_integers([channels, num_layers, out_channels], 3, minimum=1):
            raise ValueError(
                f'channels {channels!r}, num_layers {num_layers!r} and out_channels {out_channels!r} '
                f'must be positive integers'
            )
        self.num_levels = len(in_channels)
        # What each node takes, by its layer and level, in the order of computation
        self.sources = {
            (layer, level): list_sources(layer, level, self.num_levels)
            for layer in range(num_layers)
            for level in sorted(range(self.num_levels), reverse=layer % 2 == 0)
        }
        self.nodes = nn.ModuleList(
            Node(
                sum(in_channels[level] if layer == INPUT else channels for layer, level in sources),
                channels,
            )
            for sources in self.sources.values()
        )
        self.last = num_layers - 1
        self.nodes.extend(Node(channels, out_channels) for _ in in_channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(N, C_i, H_i, W_i), finest first -> (N, out_channels, H_i, W_i) each.

        Each level has half the height and width of the one before, rounded up.
        """
        features = {(INPUT, level): x for level, x in enumerate(inputs)}

        def resize(source: tuple[int, int], level: int) -> Tensor:
            x = features[source]
            if source[1] > level:
                return resize_to(x, inputs[level], 'nearest')
            return downsample(x) if source[1] < level else x

        for (layer, level), node in zip(self.sources, self.nodes):
            maps = [resize(source, level) for source in self.sources[layer, level]]
            features[layer, level] = node(torch.cat(maps, dim=1))
        outputs = self.nodes[-self.num_levels :]
        return tuple(node(features[self.last, level]) for level, node in enumerate(outputs))
