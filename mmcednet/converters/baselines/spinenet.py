"""SpineNet in PyTorch: https://github.com/lucifer443/SpineNet-Pytorch, and its trained models in
https://github.com/yan-roo/SpineNet-Pytorch, which need ``output_act=False``."""

from .names import PATTERNS, Names

GROUPS = {
    'init_block1.{k}': 'stem_blocks.0.{k}',
    'init_block2.{k}': 'stem_blocks.1.{k}',
    'scale_permuted_blocks.{i}.{k}': 'blocks.{i}.{k}',
}
LAYERS = {  # of a residual block
    'conv{n}.weight': 'conv{n}.conv.weight',
    'bn{n}.{norm}': 'conv{n}.norm.{norm}',
    'downsample.0.weight': 'shortcut.conv.weight',
    'downsample.1.{norm}': 'shortcut.norm.{norm}',
}
CONVS = {  # a convolution with its norm
    'conv1': 'stem',
    'merge_ops.{i}.resample_ops.{j}.{layer}_conv': 'merges.{i}.{j}.{layer}',
    'endpoint_convs.{level}': 'outputs.{level}',
}
NAMES = Names(
    backbone={
        **{
            f'{group}.{layer}': f'{ours}.{LAYERS[layer]}'
            for group, ours in GROUPS.items()
            for layer in LAYERS
        },
        **{f'{conv}.conv.weight': f'{ours}.conv.weight' for conv, ours in CONVS.items()},
        **{f'{conv}.bn.{{norm}}': f'{ours}.norm.{{norm}}' for conv, ours in CONVS.items()},
    },
    patterns=dict(PATTERNS, n='[123]', layer='squeeze|downsample|expand', level='[34567]'),
)
