"""Names of RevCol's published checkpoints (megvii-research/RevCol)."""

from torch import Tensor

from .names import PATTERNS, Names


def flatten_scales(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Flatten the scales of the shortcuts, which are published as (1, C, 1, 1), to (C,)."""
    return {key: value.flatten() if key.endswith('.gamma') else value for key, value in weights.items()}


NAMES = Names(
    backbone={
        'stem.{i}.{param}': 'stem.{i}.{param}',
        'subnet{i}.level{j}.fusion.down.{k}.{param}': 'columns.{i}.{j}.down.{k}.{param}',
        'subnet{i}.level{j}.fusion.up.channel_reschedule.{k}.{param}': 'columns.{i}.{j}.up.{k}.{param}',
        'subnet{i}.level{j}.blocks.{k}.{layer}.{param}': 'columns.{i}.{j}.blocks.{k}.{layer}.{param}',
        'subnet{i}.level{j}.blocks.{k}.{linear}.{param}': (
            'columns.{i}.{j}.blocks.{k}.mlp.{linear}.{param}'
        ),
        'subnet{i}.level{j}.blocks.{k}.gamma': 'columns.{i}.{j}.blocks.{k}.mlp.gamma',
        'subnet{i}.alpha{j}': 'columns.{i}.{j}.gamma',
    },
    # scales of shortcuts that the first column has not; the classifier's heads and decoders
    dropped=('subnet0.alpha{j}', '{head}.{rest}'),
    patterns=dict(
        PATTERNS,
        layer='dwconv|norm',
        linear='pwconv1|pwconv2',
        head='cls|cls_blocks|decoder_blocks',
        rest='.+',
    ),
    adapt=flatten_scales,
)
