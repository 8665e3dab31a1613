"""What the figure shows of a network, read from the modules of the built model."""

import math
from typing import Any, NamedTuple

from torch import nn

from mmcednet.models import CEDNet
from mmcednet.models.pyramid import Pyramid


class StageLayout(NamedTuple):
    """Number of blocks of a stage by stride; without a decoder, its numbers are None."""

    encoder: dict[int, int]
    long_range: bool  # the blocks of the coarsest stride
    laterals: dict[int, int] | None
    decoder: dict[int, int] | None


class Layout(NamedTuple):
    """What is drawn of a network."""

    channels: dict[int, int]  # by stride
    stem_convolutions: int  # with stride 2, before the stem's blocks
    stem_blocks: int
    stages: list[StageLayout]
    out_strides: tuple[int, ...]
    pyramid_channels: int | None


def get_convolution(module: nn.Module) -> nn.Conv2d:
    """Return the first convolution of a module."""
    return next(child for child in module.modules() if isinstance(child, nn.Conv2d))


def count_blocks(group: Any) -> int:
    """Return the number of blocks of a group; a lateral connection without a block is an Identity."""
    return 0 if isinstance(group, nn.Identity) else len(group)


def has_dilation(group: nn.Module) -> bool:
    """Whether blocks are long-range: they dilate a convolution, except those of 'cross_window'."""
    layers = [module for module in group.modules() if isinstance(module, nn.Conv2d)]
    return any(max(layer.dilation) > 1 for layer in layers)


def describe(model: CEDNet) -> Layout:
    """Read the layout from the modules of a network."""
    encoder: Any = model.stages[0].encoder
    stem = [module for module in model.stem.children() if isinstance(module, nn.Conv2d)]
    channels = {math.prod(layer.stride[0] for layer in stem): stem[-1].out_channels}
    for layer in map(get_convolution, (model.stem.downsample, encoder.down4, encoder.down5)):
        channels[max(channels) * layer.stride[0]] = layer.out_channels
    return Layout(
        channels,
        len(stem),
        count_blocks(model.stem.blocks),
        [describe_stage(stage, list(channels)[1:]) for stage in model.stages],
        model.out_strides,
        model.out_channels[0] if isinstance(model.pyramid, Pyramid) else None,
    )


def describe_stage(stage: Any, strides: list[int]) -> StageLayout:
    encoder, decoder = stage.encoder, stage.decoder
    groups = dict(zip(strides, map(count_blocks, (encoder.level3, encoder.level4, encoder.level5))))
    laterals = blocks = None
    if not isinstance(decoder, nn.Identity):
        laterals = dict(zip(strides, map(count_blocks, (decoder.lateral3, decoder.lateral4))))
        blocks = dict(zip(strides, map(count_blocks, (decoder.level3, decoder.level4))))
    return StageLayout(groups, has_dilation(encoder.level5), laterals, blocks)
