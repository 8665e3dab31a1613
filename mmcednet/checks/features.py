"""Pre-flight check of the features: that the heads fit what CEDNet returns."""

import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from mmcednet.models import CEDNet

from .unwrap import unwrap_model


def check_features(model: nn.Module) -> None:
    """Check that the neck of a model, or its heads if it has none, expect what its CEDNet returns.

    Models with other backbones are not checked.

    Args:
        model: The runner's model.

    Raises:
        ValueError: Neck or head expect other strides, channels or numbers of levels.
    """
    model = unwrap_model(model)
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, CEDNet):
        return
    neck = getattr(model, 'neck', None)
    if neck is not None:
        check_neck(neck, backbone.out_channels)
        return
    strides = backbone.out_strides
    for name, expected in get_head_strides(model).items():
        if strides[: len(expected)] != expected or (
            name != 'roi_head' and len(strides) != len(expected)
        ):
            raise ValueError(
                f'the {name} expects levels of strides {expected}, but the backbone returns {strides}; '
                f'set backbone.pyramid.levels to these levels'
            )
    for name, channels in get_head_channels(model).items():
        if set(backbone.out_channels) != {channels}:
            raise ValueError(
                f'the {name} expects {channels} channels on each level, but the backbone returns '
                f'{backbone.out_channels}; set backbone.pyramid.channels={channels}'
            )
    num_levels = getattr(model, 'num_feature_levels', len(strides))  # of Deformable DETR
    if num_levels != len(strides):
        raise ValueError(
            f'the transformer expects num_feature_levels={num_levels}, but the backbone returns '
            f'{len(strides)} levels; set backbone.pyramid.levels to as many levels'
        )
    for name, head in iter_heads(model, 'decode_head', 'auxiliary_head', 'panoptic_head'):
        check_head_channels(name, head, backbone.out_channels)
        decoder = getattr(head, 'pixel_decoder', None)
        if hasattr(decoder, 'strides'):  # of Mask2Former
            check_pixel_decoder(name, decoder, backbone)


def check_neck(neck: Any, out_channels: tuple[int, ...]) -> None:
    """Check the channels of the features that an FPN, or what inherits from one, or a mapper expects.

    Other necks may take some of the features, or in another order.
    """
    neck = neck[0] if isinstance(neck, nn.Sequential) else neck
    names = {base.__name__ for base in type(neck).__mro__}
    if 'FPN' in names:
        expected = tuple(neck.in_channels)
    elif 'ChannelMapper' in names:
        expected = tuple(conv.conv.in_channels for conv in neck.convs)
    else:
        return
    if expected != out_channels:
        raise ValueError(
            f'the neck, {type(neck).__name__}, expects features of {list(expected)} channels, but the '
            f'backbone returns {list(out_channels)}; set neck=None and backbone.pyramid, or '
            f'neck.in_channels to these'
        )


def iter_heads(model: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Iterate over the heads with these attribute names; an attribute may be a list of heads."""
    for name in names:
        head = getattr(model, name, None)
        if head is not None:
            yield from ((name, part) for part in (head if isinstance(head, nn.ModuleList) else [head]))


def check_head_channels(name: str, head: Any, out_channels: tuple[int, ...]) -> None:
    """Check the channels of the features that a segmenter's head selects by index."""
    index, in_channels = getattr(head, 'in_index', None), getattr(head, 'in_channels', None)
    if index is None or in_channels is None:
        return
    indices = [index] if isinstance(index, int) else index
    selected = [out_channels[i] for i in indices if -len(out_channels) <= i < len(out_channels)]
    # A single number for several features is their sum: the head concatenates them.
    expected = [in_channels] if isinstance(in_channels, int) else list(in_channels)
    found = [sum(selected)] if isinstance(in_channels, int) else selected
    if len(selected) < len(indices) or found != expected:
        raise ValueError(
            f'the {name} expects {in_channels} channels at in_index={index}, but the backbone returns '
            f'{out_channels}; set {name}.in_channels and in_index accordingly (aux_stages=True adds '
            f'features)'
        )


def check_pixel_decoder(name: str, decoder: Any, backbone: CEDNet) -> None:
    """Check the raw levels of a pixel decoder, whose input convolutions start at the coarsest level."""
    strides = tuple(decoder.strides)
    channels = tuple(conv.in_channels for conv in decoder.input_convs)
    found = backbone.out_channels[::-1][: len(channels)]
    if strides != backbone.out_strides or channels != found:
        raise ValueError(
            f'the {name} expects levels of strides {strides}, the coarsest with {channels} channels, '
            f'but the backbone returns strides {backbone.out_strides} and {found} channels; set '
            f'{name}.in_channels and backbone.out_levels accordingly'
        )


def round_stride(stride: float) -> int:
    """The power of two that a fractional stride stands for, as 550 / 69 of YOLACT for 8."""
    return stride if isinstance(stride, int) else 2 ** round(math.log2(stride))


def get_head_channels(model: Any) -> dict[str, int]:
    """Return the channels that those heads of a detector which say so expect on each level."""
    heads = {name: getattr(model, name, None) for name in ('bbox_head', 'rpn_head')}
    channels = {name: getattr(head, 'in_channels', None) for name, head in heads.items()}
    return {name: number for name, number in channels.items() if isinstance(number, int)}


def get_head_strides(model: Any) -> dict[str, tuple[int, ...]]:
    """Return the strides that each of a detector's heads expects, by the name of the head."""
    expected = {}
    for name in ('bbox_head', 'rpn_head'):
        generator = getattr(getattr(model, name, None), 'prior_generator', None)
        if generator is not None:
            expected[name] = tuple(round_stride(stride[0]) for stride in generator.strides)
    extractor: Any = getattr(getattr(model, 'roi_head', None), 'bbox_roi_extractor', None)
    if isinstance(extractor, nn.ModuleList):  # of a cascade: one per stage, all alike
        extractor = extractor[0]
    if extractor is not None:
        expected['roi_head'] = tuple(extractor.featmap_strides)
    return expected
