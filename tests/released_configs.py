"""Converts the keyword arguments of the authors' released classes into configs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# Keyword arguments of the released classes, with their defaults.
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
PYRAMID_DEFAULTS: dict[str, Any] = dict(out_chans=256, num_add_blocks=2)
CLASSIFIER_DEFAULTS: dict[str, Any] = dict(num_classes=1000, head_init_scale=1.0)

DECODER_STYLES = {'Decoder': 'fpn', 'DecoderUNet': 'unet', 'DecoderHourglass': 'hourglass'}


class ReleasedMixer(NamedTuple):
    """Our name of a released ``base_block`` and the other arguments that it requires."""

    name: str
    focal_block: str  # its long-range block
    encoder_type: str = 'Encoder'
    norms: tuple[str, ...] = ('LN',)
    act_type: str = 'gelu'


RELEASED_MIXERS = {
    'NeXtBlock': ReleasedMixer('dwconv', 'DNeXtBlock'),
    'Bottleneck': ReleasedMixer('conv', 'DBottleneck', norms=('BN', 'SyncBN'), act_type='relu'),
    'SwinBlock': ReleasedMixer('window', 'DSwinBlock'),
    'CSwinBlock': ReleasedMixer('cross_window', 'CSwinBlock', encoder_type='CSwinEncoder'),
}

# The defaults of a released norm, and the settings that our networks have.
NORM_DEFAULTS: dict[str, dict[str, Any]] = {
    'LN': dict(eps=1e-5, data_format='channels_last', requires_grad=True),
    'BN': dict(eps=1e-5, momentum=0.1, requires_grad=True),
}
SUPPORTED_NORMS: dict[str, dict[str, Any]] = {
    'LN': dict(eps=1e-6, data_format='channels_first', requires_grad=True),
    'BN': NORM_DEFAULTS['BN'],
}


class ReleasedClass(NamedTuple):
    """What a released class adds to CEDNet: keyword arguments with their defaults, and outputs."""

    defaults: dict[str, Any]
    outputs: Callable[[Mapping[str, Any]], dict[str, Any]]  # keyword arguments -> ours


def make_pyramid_outputs(first: int) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Outputs of a class that returns a pyramid from level ``first`` on."""
    return lambda kwargs: dict(
        pyramid=dict(
            levels=tuple(range(first, 6 + kwargs['num_add_blocks'])), channels=kwargs['out_chans']
        )
    )


RELEASED_CLASSES = {
    ('det', 'CEDNet'): ReleasedClass({}, lambda kwargs: dict(out_levels=(3, 4, 5))),
    ('det', 'CEDNetWrapper'): ReleasedClass(PYRAMID_DEFAULTS, make_pyramid_outputs(3)),
    ('det', 'CEDNetWrapperTwoStage'): ReleasedClass(PYRAMID_DEFAULTS, make_pyramid_outputs(2)),
    ('det', 'CEDNetWrapperMask2Former'): ReleasedClass(
        PYRAMID_DEFAULTS, lambda kwargs: dict(out_levels=(2, 3, 4, 5))
    ),
    ('seg', 'CEDNet'): ReleasedClass({}, lambda kwargs: dict(out_levels=(2, 3, 4, 5), aux_stages=True)),
    ('cls', 'CEDNet'): ReleasedClass(
        CLASSIFIER_DEFAULTS,
        lambda kwargs: dict(
            out_levels=(5,), aux_stages=True, aux_level=5, final_decoder=False, init_cfg=None
        ),
    ),
}


def convert_backbone_config(module: str, cls_name: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the keyword arguments of a released class into a config for ``MODELS.build``.

    Args:
        module: 'det', 'seg' or 'cls'.
        cls_name: Class in this module, for instance 'CEDNetWrapper'.
        kwargs: Keyword arguments of the class; the others have the released defaults.

    Returns:
        Config of the same backbone in this project.

    Raises:
        ValueError: The class, a keyword argument or its value is not supported.
    """
    if (module, cls_name) not in RELEASED_CLASSES:
        known = ', '.join(f'{m}.{c}' for m, c in RELEASED_CLASSES)
        raise ValueError(f'class {module}.{cls_name} is unknown; choose one of: {known}')
    released = RELEASED_CLASSES[module, cls_name]
    defaults = {**CEDNET_DEFAULTS, **released.defaults}
    for name in kwargs:
        if name not in defaults:
            raise ValueError(f'keyword argument {name!r} of {module}.{cls_name} is unknown')
    kwargs = {**defaults, **kwargs}

    mixer, long_range = parse_mixer(kwargs)
    pretrained = dict(type='Pretrained', checkpoint=kwargs['pretrained'])
    outputs: dict[str, Any] = dict(
        final_decoder=kwargs['last_decoder'], init_cfg=pretrained if kwargs['pretrained'] else None
    )
    outputs.update(released.outputs(kwargs))
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
        style=lookup(DECODER_STYLES, 'decoder_type', kwargs),
        mixer=mixer,
        long_range=long_range,
        drop_path_rate=kwargs['drop_path_rate'],
        layer_scale=kwargs['layer_scale_init_value'],
        in_channels=kwargs['in_chans'],
        **outputs,
    )


def convert_classifier_config(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the keyword arguments of the released ``cls.CEDNet`` into a config for ``MODELS.build``.

    Args:
        kwargs: Keyword arguments of the class; the others have the released defaults.

    Returns:
        Config of the same classifier as an mmpretrain ``ImageClassifier``.

    Raises:
        ValueError: A keyword argument or its value is not supported.
    """
    backbone = convert_backbone_config('cls', 'CEDNet', kwargs)
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


def parse_mixer(kwargs: Mapping[str, Any]) -> tuple[str, bool]:
    """The token mixer and whether there are long-range blocks, from ``base_block`` and ``focal_block``.

    Raises:
        ValueError: One of them is unknown, or encoder, activation or norm do not match ``base_block``.
    """
    mixer = lookup(RELEASED_MIXERS, 'base_block', kwargs)
    base_block = kwargs['base_block']
    context = f' for base_block={base_block!r}'
    lookup({mixer.encoder_type: None}, 'encoder_type', kwargs, context)
    lookup({mixer.act_type: None}, 'act_type', kwargs, context)
    norm_cfg = dict(kwargs['norm_cfg'])
    if norm_cfg.get('data_format') == 'channels_first_v2':  # another implementation of the same norm
        norm_cfg['data_format'] = 'channels_first'
    norm_type = norm_cfg.pop('type', None)
    norm = mixer.norms[0]
    if norm_type not in mixer.norms or NORM_DEFAULTS[norm] | norm_cfg != SUPPORTED_NORMS[norm]:
        raise ValueError(
            f'norm_cfg {kwargs["norm_cfg"]} does not match base_block={base_block!r}, which needs '
            f'{dict(type=norm) | SUPPORTED_NORMS[norm]}'
        )
    long_range_by_block = {base_block: False, mixer.focal_block: True}
    return mixer.name, lookup(long_range_by_block, 'focal_block', kwargs, context)


def lookup(table: Mapping[str, Any], name: str, kwargs: Mapping[str, Any], context: str = '') -> Any:
    """``table[kwargs[name]]``.

    Raises:
        ValueError: The value is not in the table; the message lists the supported values.
    """
    value = kwargs[name]
    if not isinstance(value, str) or value not in table:
        known = ', '.join(map(repr, table))
        raise ValueError(f'{name}={value!r} is unknown{context}; choose one of: {known}')
    return table[value]
