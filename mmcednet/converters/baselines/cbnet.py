"""The keys of CBNet: the published ResNets and ResNeXts of two or three backbones, with one stem."""

from torch import Tensor

from .names import Names

PREFIXES = ('', 'second_', 'third_')  # of the lead and its assistants
BLOCK = (
    'conv{j}.weight',
    'bn{j}.{norm}',
    'downsample.0.weight',
    'downsample.1.{norm}',
)


def copy_stem(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give each backbone a copy of the stem, which the published ones share."""
    numbers = {key.split('.')[1] for key in weights if key.startswith('backbones.')}
    stem = {
        key.removeprefix('backbones.0.'): value
        for key, value in weights.items()
        if key.startswith(('backbones.0.conv1.', 'backbones.0.bn1.'))
    }
    copies = {f'backbones.{number}.{key}': value for number in numbers for key, value in stem.items()}
    return weights | copies


NAMES = Names(
    backbone={
        'conv1.weight': 'backbones.0.conv1.weight',
        'bn1.{norm}': 'backbones.0.bn1.{norm}',
        **{
            f'{prefix}layer{{i}}.{{k}}.{name}': f'backbones.{number}.layer{{i}}.{{k}}.{name}'
            for number, prefix in enumerate(PREFIXES)
            for name in BLOCK
        },
        **{
            f'eb_{prefix}conv{{i}}.weight': f'connections.{number}.layer{{i}}.0.weight'
            for number, prefix in enumerate(PREFIXES[1:])
        },
        **{
            f'bneb_{prefix}bn{{i}}.{{norm}}': f'connections.{number}.layer{{i}}.1.{{norm}}'
            for number, prefix in enumerate(PREFIXES[1:])
        },
    },
    dropped=('fc.{param}',),  # of a classifier
    adapt=copy_stem,
)
