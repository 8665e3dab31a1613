"""GiraffeDet: https://github.com/damo-cv/GiraffeDet, its backbone and its neck."""

from mmengine.logging import print_log
from torch import Tensor

from .names import Names

CLASSES = 80  # of COCO

STRIDES = (8, 16, 32, 64, 128)
CONVS = {  # of the backbone, with their norms
    'conv1': 'stem.0',
    'conv2': 'stem.1',
    **{f'focus_{stride}x.conv': f'steps.{step}' for step, stride in enumerate(STRIDES)},
}


def drop_background(head: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the output for the background, the last one, which is not used.

    The published config sets no sigmoid, for which mmdet's heads add this output, though the head takes
    the sigmoid of each.
    """
    layers = ('bbox_head.gfl_cls.weight', 'bbox_head.gfl_cls.bias')
    extra = [key for key in layers if key in head and len(head[key]) == CLASSES + 1]
    if extra:
        print_log(
            f'{extra[0]} has {CLASSES + 1} outputs: the first {CLASSES} are the classes', 'current'
        )
    return head | {key: head[key][:CLASSES].clone() for key in extra}


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
    adapt_head=drop_background,
)
