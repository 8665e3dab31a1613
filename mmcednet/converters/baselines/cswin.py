"""The keys of CSWin: its authors' classifiers and segmenters, CEDNet's released detectors."""

from torch import Tensor

from .names import Names


def number_norms(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Number the norms of the stages from 0, as detectors do; its authors' segmenters start at 1."""
    if not any(key.startswith('norm4.') for key in weights):
        return weights
    ours = {f'norm{stage}': f'norm{stage - 1}' for stage in (1, 2, 3, 4)}
    return {
        '.'.join([ours.get(layer, layer), *rest]): value
        for key, value in weights.items()
        for layer, *rest in [key.split('.')]
    }


NAMES = Names(
    backbone={
        'stage1_conv_embed.0.{param}': 'embed.0.{param}',
        'stage1_conv_embed.2.{param}': 'embed.1.{param}',
        **{f'merge{stage}.conv.{{param}}': f'merges.{stage - 1}.0.{{param}}' for stage in (1, 2, 3)},
        **{f'merge{stage}.norm.{{param}}': f'merges.{stage - 1}.1.{{param}}' for stage in (1, 2, 3)},
        **{
            f'stage{stage}.{{i}}.{published}.{{param}}': f'stages.{stage - 1}.{{i}}.{ours}.{{param}}'
            for stage in (1, 2, 3, 4)
            for published, ours in {
                'norm1': 'norm1',
                'qkv': 'mixer.qkv',
                'attns.{j}.get_v': 'mixer.branches.{j}.lepe',
                'proj': 'mixer.proj',
                'norm2': 'norm2',
                'mlp.fc1': 'mlp.pwconv1',
                'mlp.fc2': 'mlp.pwconv2',
            }.items()
        },
        'norm{i}.{param}': 'norm{i}.{param}',
    },
    dropped=('norm.{param}', 'head.{param}'),
    adapt=number_norms,
)
