"""The authors' released configs and checkpoints, turned into ours.

The released code (github.com/zhanggang001/CEDNet) has three modules: 'det' for detection, 'seg' for
segmentation and 'cls' for classification, each with a class ``CEDNet`` and wrappers around it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

# The released classes' keyword arguments and their defaults.
CEDNET_DEFAULTS: dict[str, Any] = dict(
    in_chans=3,
    num_stages=3,
    encoder_type='Encoder',
    decoder_type='Decoder',
    base_block='NeXtBlock',
    focal_block='DNeXtBlock',
    p2_dim=96,
    p2_block=3,
    dims=(192, 352, 512),
    blocks=(2, 4, 2),
    last_decoder=False,
    layer_scale_init_value=1e-6,
    drop_path_rate=0.1,
    norm_cfg=dict(type='LN', eps=1e-6, data_format='channels_first'),
    act_type='gelu',
    pretrained=None,
)
PYRAMID_DEFAULTS = dict(out_chans=256, num_add_blocks=2)

CLASSIFIER_DEFAULTS = dict(num_classes=1000, head_init_scale=1.0)

STYLES = {'Decoder': 'fpn', 'DecoderUNet': 'unet', 'DecoderHourglass': 'hourglass'}


class Mixer(NamedTuple):
    """What goes with a base_block of the released code."""

    name: str
    focal_block: str  # its long-range block
    encoder_type: str = 'Encoder'
    norms: tuple[str, ...] = ('LN',)
    act_type: str = 'gelu'


MIXERS = {
    'NeXtBlock': Mixer('dwconv', 'DNeXtBlock'),
    'Bottleneck': Mixer('conv', 'DBottleneck', norms=('BN', 'SyncBN'), act_type='relu'),
    'SwinBlock': Mixer('window', 'DSwinBlock'),
    'CSwinBlock': Mixer('cross_window', 'CSwinBlock', encoder_type='CSwinEncoder'),
}


# What the released norms are when norm_cfg does not say, and what goes with the mixers
NORM_DEFAULTS = {
    'LN': dict(eps=1e-5, data_format='channels_last', requires_grad=True),
    'BN': dict(eps=1e-5, momentum=0.1, requires_grad=True),
}
NORMS = {
    'LN': dict(eps=1e-6, data_format='channels_first', requires_grad=True),
    'BN': NORM_DEFAULTS['BN'],
}


def pyramid_from(first: int) -> Callable[[dict], dict]:
    """The outputs of a wrapper whose pyramid starts at a level."""
    return lambda kwargs: dict(
        pyramid=dict(
            levels=tuple(range(first, 6 + kwargs['num_add_blocks'])), channels=kwargs['out_chans']
        )
    )


# (module, class) -> further keyword arguments with their defaults, what CEDNet is to return
WRAPPERS: dict[tuple[str, str], tuple[dict, Callable[[dict], dict]]] = {
    ('det', 'CEDNet'): ({}, lambda kwargs: dict(out_levels=(3, 4, 5))),
    ('det', 'CEDNetWrapper'): (PYRAMID_DEFAULTS, pyramid_from(3)),
    ('det', 'CEDNetWrapperTwoStage'): (PYRAMID_DEFAULTS, pyramid_from(2)),
    ('det', 'CEDNetWrapperMask2Former'): (
        PYRAMID_DEFAULTS,
        lambda kwargs: dict(out_levels=(2, 3, 4, 5)),
    ),
    ('seg', 'CEDNet'): ({}, lambda kwargs: dict(out_levels=(2, 3, 4, 5), aux_stages=True)),
    ('cls', 'CEDNet'): (
        CLASSIFIER_DEFAULTS,
        lambda kwargs: dict(
            out_levels=(5,), aux_stages=True, aux_level=5, final_decoder=False, init_cfg=None
        ),
    ),
}


def backbone_config(module: str, cls_name: str, kwargs: Mapping[str, Any]) -> dict:
    """A config for ``MODELS.build`` of the backbone that a released class builds.

    Args:
        module: 'det', 'seg' or 'cls'.
        cls_name: The class there, for instance 'CEDNetWrapper'.
        kwargs: Its keyword arguments; the released defaults stand in for what is not given.

    Raises:
        ValueError: There is no such class, or a keyword argument, or its value, is not understood.
    """
    if (module, cls_name) not in WRAPPERS:
        known = ', '.join(f'{m}.{c}' for m, c in WRAPPERS)
        raise ValueError(f'class {module}.{cls_name} is unknown; known ones: {known}')
    more, outputs = WRAPPERS[module, cls_name]
    defaults = {**CEDNET_DEFAULTS, **more}
    for name in kwargs:
        if name not in defaults:
            raise ValueError(f'keyword argument {name!r} of {module}.{cls_name} is unknown')
    kwargs = {**defaults, **kwargs}

    mixer, long_range = mixer_of(kwargs)
    pretrained = dict(type='Pretrained', checkpoint=kwargs['pretrained'])
    outs = dict(
        final_decoder=kwargs['last_decoder'], init_cfg=pretrained if kwargs['pretrained'] else None
    )
    outs.update(outputs(kwargs))
    blocks = tuple(kwargs['blocks'])
    if not isinstance(blocks[0], int):
        blocks = tuple(map(tuple, blocks))
    return dict(
        type='CEDNet',
        arch=dict(
            channels=(kwargs['p2_dim'], *kwargs['dims']),
            blocks=(kwargs['p2_block'], *blocks),
            num_stages=kwargs['num_stages'],
        ),
        style=lookup(STYLES, 'decoder_type', kwargs),
        mixer=mixer,
        long_range=long_range,
        drop_path_rate=kwargs['drop_path_rate'],
        layer_scale=kwargs['layer_scale_init_value'],
        in_channels=kwargs['in_chans'],
        **outs,
    )


def classifier_config(kwargs: Mapping[str, Any]) -> dict:
    """A config for ``MODELS.build`` of the ``ImageClassifier`` that the released 'cls' class is.

    Args:
        kwargs: Its keyword arguments; the released defaults stand in for what is not given.

    Raises:
        ValueError: A keyword argument, or its value, is not understood.
    """
    backbone = backbone_config('cls', 'CEDNet', kwargs)
    kwargs = {**CLASSIFIER_DEFAULTS, **kwargs}
    return dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
        backbone=backbone,
        head=dict(
            type='CEDNetClsHead',
            num_classes=kwargs['num_classes'],
            in_channels=backbone['arch']['channels'][-1],
            num_stages=backbone['arch']['num_stages'],
            mixer=backbone['mixer'],
            init_scale=kwargs['head_init_scale'],
        ),
    )


def mixer_of(kwargs: dict) -> tuple[str, bool]:
    """The token mixer, and whether there are long-range blocks; checks what goes with the mixer."""
    mixer = lookup(MIXERS, 'base_block', kwargs)
    lookup({mixer.encoder_type: None}, 'encoder_type', kwargs)
    lookup({mixer.act_type: None}, 'act_type', kwargs)
    norm_cfg = dict(kwargs['norm_cfg'])
    if norm_cfg.get('data_format') == 'channels_first_v2':  # the same, computed another way
        norm_cfg['data_format'] = 'channels_first'
    kind = norm_cfg.pop('type', None)
    family = mixer.norms[0]
    if kind not in mixer.norms or NORM_DEFAULTS[family] | norm_cfg != NORMS[family]:
        raise ValueError(
            f'norm_cfg {kwargs["norm_cfg"]} does not go with {kwargs["base_block"]}, which needs '
            f'{dict(type=family) | NORMS[family]}'
        )
    long_range_by_block = {kwargs['base_block']: False, mixer.focal_block: True}
    return mixer.name, lookup(long_range_by_block, 'focal_block', kwargs)


def lookup(table: Mapping, name: str, kwargs: Mapping[str, Any]) -> Any:
    """``table[kwargs[name]]``, or a ValueError that names both and lists what there is."""
    if not isinstance(kwargs[name], str) or kwargs[name] not in table:
        known = ', '.join(map(repr, table))
        raise ValueError(f'{name}={kwargs[name]!r} is not understood; known here: {known}')
    return table[kwargs[name]]


def shift(match: re.Match) -> str:
    """stages.0 of the released code is the stem, its stage s is our stage s - 1."""
    return f'stages.{int(match[1]) - 1}.'


# Of the convolutional mixer, whose dilated convolution has another mixer's name; before the others.
BOTTLENECK_PARTS = [(r'\.dwconv1\.0\.', '.dwconv.'), (r'\.dwconv1\.1\.', '.dwconv_norm.')]
BOTTLENECK = re.compile(r'\.conv3\.0\.')
# In order: the released name of a part -> ours. A key may pass several rows.
PARTS: list[tuple[str, Any]] = [
    (r'^stem\.0\.', 'stem.conv1.'),
    (r'^stem\.1\.', 'stem.norm1.'),
    (r'^stem\.3\.', 'stem.conv2.'),
    (r'^stem\.4\.', 'stem.norm2.'),
    (r'^stages\.0\.\d+\.([01])\.(\w+)$', r'stem.downsample.\1.\2'),
    (r'^stages\.0\.(\d+)\.', r'stem.blocks.\1.'),
    (r'^stages\.(\d+)\.(?=[01]\.)', shift),
    (r'^(stages\.\d+)\.0\.encoder\.([012])\.', lambda m: f'{m[1]}.encoder.level{int(m[2]) + 3}.'),
    (
        r'^(stages\.\d+)\.0\.encoder_downsample\.([01])\.',
        lambda m: f'{m[1]}.encoder.down{int(m[2]) + 4}.',
    ),
    (
        r'^(stages\.\d+)\.1\.decoder_upsample\.([01])\.0\.',
        lambda m: f'{m[1]}.decoder.reduce{5 - int(m[2])}.',
    ),
    (
        r'^(stages\.\d+)\.1\.decoder_norm\.([01])\.',
        lambda m: f'{m[1]}.decoder.norm{4 - int(m[2])}.',
    ),
    (r'^(stages\.\d+)\.1\.decoder\.([01])\.', lambda m: f'{m[1]}.decoder.level{4 - int(m[2])}.'),
    (r'^(stages\.\d+)\.1\.lateral\.([01])\.', lambda m: f'{m[1]}.decoder.lateral{4 - int(m[2])}.0.'),
    (r'^reduce_convs\.', 'pyramid.laterals.'),
    (r'^add_blocks\.', 'pyramid.extras.'),
    (r'^reduce_c2\.', 'pyramid.lateral2.'),
    (r'^merge_c2\.', 'pyramid.merge2.'),
    (r'^final_layers\.', 'head.convs.'),
    (r'^norms\.', 'head.norms.'),
    (r'^heads\.', 'head.fcs.'),
    # inside a block
    (r'\.(gamma|pwconv[12])\b', r'.mlp.\1'),
    (r'\.conv([123])\.0\.', r'.conv\1.'),
    (r'\.conv([123])\.1\.', r'.norm\1.'),
    (r'\.dwconv2\.(?=weight|bias)', '.dwconv.'),
    (r'\.norm_act1\.0\.', '.mixer_norm.'),
    (r'\.norm_act2\.0\.', '.dwconv_norm.'),
    (r'\.dwconv([12])\.0\.', r'.dwconv\1.'),
    (r'\.dwconv([12])\.1\.', r'.norm\1.'),
    (r'\.attn\.', '.mixer.'),
    (r'(?<!\.mixer)\.(qkv|proj)\.', r'.mixer.\1.'),
    (r'\.relative_position_bias_table$', '.relative_position_bias_table'),
    (r'\.attns\.([01])\.get_v\.', r'.mixer.branches.\1.lepe.'),
]
BLOCK = (
    r'(conv[123]|dwconv[12]?|norm[123]?|mixer_norm|dwconv_norm|mlp(\.pwconv[12])?'
    r'|mixer(\.qkv|\.proj|\.branches\.[01]\.lepe)?)'
)
# Every module of CEDNet and of the classifier's head that owns weights.
OURS = re.compile(
    rf'stem\.(conv[12]|norm[12]|downsample\.[01]|blocks\.\d+\.{BLOCK})'
    rf'|stages\.\d+\.encoder\.(level[345]\.\d+\.{BLOCK}|down[45]\.[01])'
    rf'|stages\.\d+\.decoder\.(reduce[45]|norm[34]|(level|lateral)[34]\.\d+\.{BLOCK})'
    r'|pyramid\.((laterals|extras)\.\d+|lateral2|merge2)\.[01]'
    r'|head\.(convs\.\d+\.[01]|norms\.\d+|fcs\.\d+)'
)
# The last part of a weight's name: only norms have running statistics.
LEAF = re.compile(
    r'.*\.(weight|bias|gamma|relative_position_bias_table)'
    r'|.*(norm\w*|\.1)\.(running_mean|running_var|num_batches_tracked)'
)
COMPUTED = '.relative_position_index'  # saved by the released code, computed here
BACKBONE = 'backbone.'


def convert_key(key: str, parts: Iterable[tuple[str, Any]]) -> str:
    """Our name of a released weight, without any prefix; a ValueError where it has no place."""
    ours = key
    for pattern, replacement in parts:
        ours = re.sub(pattern, replacement, ours)
    module = ours.rpartition('.')[0]
    if ours == key or not LEAF.fullmatch(ours) or not OURS.fullmatch(module):
        raise ValueError(f'the weight {key!r} has no place in CEDNet')
    return ours


def convert_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the released weights to ours.

    Args:
        state_dict: Released weights, with or without the prefix 'module.'. With the prefix
            'backbone.', as in a detector, only the keys that have it are converted, and keep it; the
            heads' keys stay as they are.

    Returns:
        The same tensors under our names. A classifier's become those of an mmpretrain
        ``ImageClassifier``: 'backbone.' and 'head.'.

    Raises:
        ValueError: A key has no place in CEDNet.
    """
    state_dict = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    prefix = BACKBONE if any(key.startswith(BACKBONE) for key in state_dict) else ''
    is_bottleneck = any(BOTTLENECK.search(key) for key in state_dict)
    parts = [*BOTTLENECK_PARTS, *PARTS] if is_bottleneck else PARTS
    converted = {}
    for key, value in state_dict.items():
        if not key.startswith(prefix):
            converted[key] = value
        elif not key.endswith(COMPUTED):
            converted[prefix + convert_key(key.removeprefix(prefix), parts)] = value
    if not prefix and any(key.startswith('head.') for key in converted):
        return {k if k.startswith('head.') else BACKBONE + k: v for k, v in converted.items()}
    return converted
