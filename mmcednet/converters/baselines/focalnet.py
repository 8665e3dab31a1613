"""The keys of FocalNet, to those of timm's FocalNet in :class:`mmcednet.baselines.NormedLevels`."""

import torch.nn.functional as F
from torch import Tensor

from .names import Names

WINDOW = 9  # kernel of a detector's first focal level; a classifier's is 3
LAYERS = ('norm1', 'modulation.f', 'modulation.h', 'modulation.proj', 'norm2', 'mlp.fc1', 'mlp.fc2')
TIMM = 'network.timm_model.'


def fit_shapes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn linear layers into 1x1 convolutions, and pad the kernels of classifiers with zeros.

    A kernel has 2 more than that of the focal level before.
    """
    fitted = {}
    for key, value in weights.items():
        if value.ndim == 2:
            value = value[..., None, None]
        elif '.focal_layers.' in key:
            level = int(key.split('.focal_layers.')[1].split('.')[0])
            margin = (WINDOW + 2 * level - value.shape[-1]) // 2
            value = F.pad(value, (margin,) * 4)
        fitted[key] = value
    return fitted


NAMES = Names(
    backbone={
        'patch_embed.proj.{param}': TIMM + 'stem.proj.{param}',
        'patch_embed.norm.{param}': TIMM + 'stem.norm.{param}',
        **{
            f'layers.{stage}.downsample.{layer}.{{param}}': (
                f'{TIMM}layers_{stage + 1}.downsample.{layer}.{{param}}'
            )
            for stage in range(3)
            for layer in ('proj', 'norm')
        },
        **{
            f'layers.{{i}}.blocks.{{j}}.{layer}.{{param}}': (
                f'{TIMM}layers_{{i}}.blocks.{{j}}.{layer}.{{param}}'
            )
            for layer in LAYERS
        },
        'layers.{i}.blocks.{j}.modulation.focal_layers.{k}.0.weight': (
            TIMM + 'layers_{i}.blocks.{j}.modulation.focal_layers.{k}.0.weight'
        ),
        'norm{i}.{param}': 'norms.{i}.{param}',
    },
    dropped=('norm.{param}', 'head.{param}'),  # of a classifier
    adapt=fit_shapes,
)
