"""GiraffeDet: https://github.com/damo-cv/GiraffeDet, its backbone and its neck."""

from .names import Names

STRIDES = (8, 16, 32, 64, 128)
CONVS = {  # of the backbone, with their norms
    'conv1': 'stem.0',
    'conv2': 'stem.1',
    **{f'focus_{stride}x.conv': f'steps.{step}' for step, stride in enumerate(STRIDES)},
}
NODE = 'cell.giraffeNeck.fnode.{i}.after_combine'
NAMES = Names(
    backbone={
        **{f'{conv}.conv.weight': f'{ours}.conv.weight' for conv, ours in CONVS.items()},
        **{f'{conv}.bn.{{norm}}': f'{ours}.norm.{{norm}}' for conv, ours in CONVS.items()},
    },
    neck={
        f'{NODE}.conv1x1.weight': 'nodes.{i}.fuse.weight',
        f'{NODE}.conv.conv.weight': 'nodes.{i}.conv.weight',
        f'{NODE}.conv.bn.{{norm}}': 'nodes.{i}.norm.{norm}',
    },
)
