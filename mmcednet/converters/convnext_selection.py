"""Initial weights of a CEDNet, selected from those of a ConvNeXt that is at least as wide.

Level k of CEDNet, at stride 2^k, has the stage k - 2 of ConvNeXt as its source:

    channels     evenly spaced ones of the stage's, the same everywhere on a level; and of each MLP's
                 hidden ones
    blocks       n blocks of a level, in the order of the forward pass over the stem or all cascade
                 stages, encoders and decoders, have the stage's m blocks in their order: block i has
                 block i * m // n, so that blocks repeat where n > m
    long-range   its first depth-wise convolution and norm are those of the source, its MLP too
    downsampling ConvNeXt normalises before the convolution, CEDNet after it: the source's norm is
                 folded into its convolution, but for the division by the standard deviation, which the
                 norm after it makes up for
    no source    the stem's two convolutions (ConvNeXt's is one of 4x4), the dilated convolution of the
                 long-range blocks and its norm, the norms after downsampling, the decoders' 1x1
                 convolutions and norms, and the pyramid start as in a new network
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmcednet.models import CEDNet
from mmcednet.models.blocks import CEDBlock, LongRangeCEDBlock
from mmcednet.models.stage import Decoder

from .convnext import convert_convnext, find_widths

# Layer of a block -> that of ConvNeXt's
MLP = {'mlp.pwconv1': 'pointwise_conv1', 'mlp.pwconv2': 'pointwise_conv2'}
BLOCKS: dict[type[nn.Module], dict[str, str]] = {
    CEDBlock: {'dwconv': 'depthwise_conv', 'norm': 'norm', **MLP},
    LongRangeCEDBlock: {'dwconv1': 'depthwise_conv', 'norm1': 'norm', **MLP},
}
GAMMA = 'mlp.gamma'
STREAM, HIDDEN = 'stream', 'hidden'
# Tensor of ConvNeXt's block -> which channels its first dimensions are
DIMENSIONS = {
    'depthwise_conv.weight': (STREAM,),
    'depthwise_conv.bias': (STREAM,),
    'norm.weight': (STREAM,),
    'norm.bias': (STREAM,),
    'pointwise_conv1.weight': (HIDDEN, STREAM),
    'pointwise_conv1.bias': (HIDDEN,),
    'pointwise_conv2.weight': (STREAM, HIDDEN),
    'pointwise_conv2.bias': (STREAM,),
}
LEVELS = (2, 3, 4, 5)


def select_from_convnext(source: Mapping[str, Tensor], network: CEDNet) -> dict[str, Tensor]:
    """Select initial weights; the share of the parameters that have a source is logged.

    Args:
        source: Weights of a ConvNeXt, as for :func:`convert_convnext`.
        network: The CEDNet, with the mixer 'dwconv'.

    Returns:
        Name in ``network`` -> weight, of those that have a source.

    Raises:
        ValueError: ``source`` is no ConvNeXt or a variant of it with other layers, the network has
            another mixer, or a level of it is wider than its source.
    """
    source = convert_convnext(source)
    widths, depths = find_widths(source)
    streams = choose_channels(network, widths)
    selected: dict[str, Tensor] = {}
    for level, blocks in list_blocks(network).items():
        for index, (name, block) in enumerate(blocks):
            prefix = f'stages.{level - 2}.{index * depths[level - 2] // len(blocks)}.'
            found = select_block(take(source, prefix), block, streams[level])
            selected |= {f'{name}.{key}': value for key, value in found.items()}
    for name, level in list_downsampling(network):
        layers = take(source, f'downsample_layers.{level - 2}.')
        found = select_downsampling(layers, streams[level - 1], streams[level])
        selected |= {f'{name}.0.{key}': value for key, value in found.items()}
    log_share(network, selected)
    return selected


def take(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights of a part, by their names in it."""
    return {k.removeprefix(prefix): value for k, value in weights.items() if k.startswith(prefix)}


def choose_channels(network: CEDNet, widths: list[int]) -> dict[int, Tensor]:
    """Level -> indices of the source's channels that are the network's.

    Raises:
        ValueError: The network has more.
    """
    encoder: Any = network.stages[0].encoder
    convs: Any = (network.stem.conv2, network.stem.downsample[0], encoder.down4[0], encoder.down5[0])
    chosen = {}
    for level, conv, width in zip(LEVELS, convs, widths):
        if conv.out_channels > width:
            raise ValueError(
                f'CEDNet has {conv.out_channels} channels at stride {2**level}, the ConvNeXt only '
                f'{width}: take a larger ConvNeXt or a smaller CEDNet'
            )
        chosen[level] = space_evenly(conv.out_channels, width)
    return chosen


def space_evenly(number: int, total: int) -> Tensor:
    """``number`` different indices below ``total``, from the first to the last at equal distances."""
    return torch.linspace(0, total - 1, number, dtype=torch.float64).round().long()


def list_blocks(network: CEDNet) -> dict[int, list[tuple[str, nn.Module]]]:
    """Level -> name and block of each of its blocks, in the order of the forward pass."""
    blocks: dict[int, list[tuple[str, nn.Module]]] = {level: [] for level in LEVELS}
    for group, level in iter_groups(network):
        children = network.get_submodule(group).named_children()
        blocks[level] += [(f'{group}.{name}', block) for name, block in children]
    return blocks


def iter_groups(network: CEDNet) -> Iterator[tuple[str, int]]:
    """Name and level of each group of blocks, in the order of the forward pass."""
    yield 'stem.blocks', 2
    for index, stage in enumerate(network.stages):
        for level in (3, 4, 5):
            yield f'stages.{index}.encoder.level{level}', level
        for level in (4, 3) if isinstance(stage.decoder, Decoder) else ():
            yield f'stages.{index}.decoder.lateral{level}', level
            yield f'stages.{index}.decoder.level{level}', level


def list_downsampling(network: CEDNet) -> list[tuple[str, int]]:
    """Name and level of the output of each downsampling."""
    stages = [
        (f'stages.{index}.encoder.down{level}', level)
        for index in range(len(network.stages))
        for level in (4, 5)
    ]
    return [('stem.downsample', 3), *stages]


def select_block(source: dict[str, Tensor], block: nn.Module, stream: Tensor) -> dict[str, Tensor]:
    """Select the weights of a block.

    Args:
        source: Weights of ConvNeXt's block.
        block: The block of CEDNet.
        stream: Indices of the chosen channels, (C,).

    Raises:
        ValueError: The block has another mixer, or ConvNeXt's lacks a weight.
    """
    layers = next((BLOCKS[kind] for kind in BLOCKS if isinstance(block, kind)), None)
    if layers is None:
        raise ValueError(
            f'a ConvNeXt has no weights for {type(block).__name__}; the mixer must be dwconv'
        )
    missing = [key for key in DIMENSIONS if key not in source]
    if missing:
        raise ValueError(f'a block of the ConvNeXt has no {missing[0]}; such variants do not fit')
    hidden = space_evenly(4 * len(stream), len(source['pointwise_conv1.bias']))
    chosen = {STREAM: stream, HIDDEN: hidden}
    small = {}
    for key, dimensions in DIMENSIONS.items():
        value = source[key]
        for dimension, channels in enumerate(dimensions):
            value = value.index_select(dimension, chosen[channels])
        small[key] = value
    found = {
        f'{ours}.{param}': small[f'{theirs}.{param}']
        for ours, theirs in layers.items()
        for param in ('weight', 'bias')
    }
    gamma = source['gamma'][stream] if 'gamma' in source else torch.ones(len(stream))
    if GAMMA in block.state_dict():
        return found | {GAMMA: gamma}
    found['mlp.pwconv2.weight'] = found['mlp.pwconv2.weight'] * gamma[:, None]
    found['mlp.pwconv2.bias'] = found['mlp.pwconv2.bias'] * gamma
    return found


def select_downsampling(source: dict[str, Tensor], before: Tensor, after: Tensor) -> dict[str, Tensor]:
    """Select weight and bias of a convolution of 2x2, with the norm before it folded in.

    Args:
        source: Weights of the norm, '0.', and of the convolution, '1.'.
        before: Indices of the chosen channels of the input.
        after: Those of the output.
    """
    weight = source['1.weight'][after][:, before]
    scale, shift = (source[f'0.{param}'][before].view(1, -1, 1, 1) for param in ('weight', 'bias'))
    scaled = weight * scale
    return dict(
        weight=scaled - scaled.mean(1, keepdim=True),  # subtracts the mean over the channels
        bias=source['1.bias'][after] + (weight * shift).sum((1, 2, 3)),
    )


def log_share(network: CEDNet, selected: dict[str, Tensor]) -> None:
    """Log the share of the parameters that have a source, and which have none."""
    total = sum(value.numel() for value in network.parameters())
    share = sum(value.numel() for value in selected.values()) / total
    layers = {key.rpartition('.')[0] for key in network.state_dict() if key not in selected}
    rest = sorted({re.sub(r'(?<=stages.)\d+|(?<=level5.)\d+', '*', layer) for layer in layers})
    print_log(
        f'{share:.1%} of {total:,} parameters come from the ConvNeXt, all but: {", ".join(rest)}',
        'current',
    )
