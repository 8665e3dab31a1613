"""Checkpoints of ConvNeXt, of all who publish them, in one layout: mmpretrain's.

Templates are as in :mod:`mmcednet.converters.official_cednet`; fields:

    {level}  0 to 3: the stage, at stride 4 to 32
    {block}  index of a block of the stage
    {index}  any other index
    {param}  'weight' or 'bias'
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mmcednet.checkpoints.loading import load_checkpoint
from mmcednet.models.pretrained import get_state_dict

from .templates import PARAM, Templates, compile_templates, match_key

OURS = 'stages.{level}.{block}.'
ORIGINAL: Templates = {
    'downsample_layers.{level}.{index}.{param}': 'downsample_layers.{level}.{index}.{param}',
    OURS + 'dwconv.{param}': OURS + 'depthwise_conv.{param}',
    OURS + 'norm.{param}': OURS + 'norm.{param}',
    OURS + 'pwconv1.{param}': OURS + 'pointwise_conv1.{param}',
    OURS + 'pwconv2.{param}': OURS + 'pointwise_conv2.{param}',
    OURS + 'gamma': OURS + 'gamma',
    'norm.{param}': 'norm3.{param}',
}
MMPRETRAIN: Templates = {
    OURS + 'depthwise_conv.{param}': OURS + 'depthwise_conv.{param}',
    OURS + 'pointwise_conv1.{param}': OURS + 'pointwise_conv1.{param}',
    OURS + 'pointwise_conv2.{param}': OURS + 'pointwise_conv2.{param}',
    'norm{level}.{param}': 'norm{level}.{param}',
}
TIMM: Templates = {'head.norm.{param}': 'norm3.{param}'}
for dot in '._':  # timm's networks for features, features_only=True, have an underscore
    stage = f'stages{dot}{{level}}.'
    TIMM |= {
        f'stem{dot}{{index}}.{{param}}': 'downsample_layers.0.{index}.{param}',
        stage + 'downsample.{index}.{param}': 'downsample_layers.{level}.{index}.{param}',
        stage + 'blocks.{block}.conv_dw.{param}': OURS + 'depthwise_conv.{param}',
        stage + 'blocks.{block}.norm.{param}': OURS + 'norm.{param}',
        stage + 'blocks.{block}.mlp.fc1.{param}': OURS + 'pointwise_conv1.{param}',
        stage + 'blocks.{block}.mlp.fc2.{param}': OURS + 'pointwise_conv2.{param}',
        stage + 'blocks.{block}.gamma': OURS + 'gamma',
    }
TORCHVISION: Templates = {'classifier.0.{param}': 'norm3.{param}'}
for number in range(4):  # downsampling and blocks are numbered together
    stage, ours = f'features.{2 * number + 1}.{{block}}.', f'stages.{number}.{{block}}.'
    TORCHVISION |= {
        f'features.{2 * number}.{{index}}.{{param}}': f'downsample_layers.{number}.{{index}}.{{param}}',
        stage + 'block.0.{param}': ours + 'depthwise_conv.{param}',
        stage + 'block.2.{param}': ours + 'norm.{param}',
        stage + 'block.3.{param}': ours + 'pointwise_conv1.{param}',
        stage + 'block.5.{param}': ours + 'pointwise_conv2.{param}',
        stage + 'layer_scale': ours + 'gamma',
    }
RULES = compile_templates(
    ORIGINAL | MMPRETRAIN | TIMM | TORCHVISION,
    dict(level='[0-3]', block=r'\d+', index=r'\d', param=PARAM),
)
HEADS = ('head.', 'classifier.2.')  # of classifiers, which nothing here needs
MARKER = 'stages.0.0.depthwise_conv.weight'


def is_convnext(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights are those of a ConvNeXt, by their names."""
    return MARKER in rename(weights)[0]


def convert_convnext(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a ConvNeXt to those of mmpretrain's backbone, without the classifier.

    Args:
        weights: In the layout of torchvision, timm, mmpretrain or the original code; of a detector or
            segmenter the backbone's, under 'backbone.'.

    Returns:
        Linear layers are (out, in), gammas (C,).

    Raises:
        ValueError: They are no ConvNeXt's, or those of a variant with other layers, such as V2.
    """
    renamed, unknown = rename(weights)
    if MARKER not in renamed:
        raise ValueError(f'the weights are no ConvNeXt (the first is {next(iter(weights), None)})')
    if unknown:
        raise ValueError(f'{unknown[0]} is no weight of a ConvNeXt; variants such as V2 do not fit')
    for key, value in renamed.items():
        if 'pointwise' in key and value.ndim == 4:  # as 1x1 convolutions
            renamed[key] = value.flatten(1)
        elif key.endswith('gamma'):
            renamed[key] = value.flatten()
    return renamed


def rename(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The weights by mmpretrain's names, and the keys that no rule knows."""
    prefix = 'backbone.' if any(key.startswith('backbone.') for key in weights) else ''
    renamed, unknown = {}, []
    for key, value in weights.items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        match = match_key(name, RULES)
        if match is not None:
            renamed[match[0].format(**match[1])] = value
        elif not name.startswith(HEADS):
            unknown.append(key)
    return renamed, unknown


def find_widths(weights: Mapping[str, Tensor]) -> tuple[list[int], list[int]]:
    """Channels and numbers of blocks of the four stages.

    Args:
        weights: As :func:`convert_convnext` returns them.

    Raises:
        ValueError: There are other than four stages.
    """
    depths = [0, 0, 0, 0]
    for key in weights:
        part, level, *rest = key.split('.')
        if part == 'stages':
            depths[int(level)] = max(depths[int(level)], int(rest[0]) + 1)
    if 0 in depths:
        raise ValueError('the weights have other than the four stages of a ConvNeXt')
    channels = [len(weights[f'stages.{level}.0.norm.weight']) for level in range(4)]
    return channels, depths


def refuse_convnext(checkpoint: str, student: str) -> None:
    """Raise an error if the initial weights of a CEDNet are a ConvNeXt's.

    Args:
        checkpoint: File, or another address; only files are read.
        student: Options of tools/distill.py for the CEDNet.

    Raises:
        ValueError: They are; the message is the command that makes CEDNet's of them. Or the file is no
            checkpoint.
    """
    if Path(checkpoint).is_file() and is_convnext(get_state_dict(load_checkpoint(checkpoint))):
        raise ValueError(
            f'{checkpoint} has weights of a ConvNeXt; a CEDNet learns from them with: '
            f'mmcednet distill --teacher {shlex.quote(checkpoint)} --images FOLDER {student} '
            f'-o cednet.safetensors'
        )
