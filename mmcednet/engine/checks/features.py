"""Checks of the features."""

from collections.abc import Iterator

from torch import nn

from mmcednet.models import CEDNet

from .unwrap import unwrap_model


def check_levels(model: nn.Module) -> None:
    """Check that the levels which CEDNet gives are those that the heads take.

    Raises:
        ValueError: They are not.
    """
    model = unwrap_model(model)
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, CEDNet) or getattr(model, 'neck', None) is not None:
        return
    given = backbone.out_strides
    for name, taken in levels_taken(model).items():
        if given[: len(taken)] != taken or (name != 'roi_head' and len(given) != len(taken)):
            raise ValueError(
                f'the {name} takes levels of strides {taken}, but the backbone gives {given}; set '
                f'backbone.pyramid.levels to those levels'
            )
    number = getattr(model, 'num_feature_levels', len(given))  # of Deformable DETR
    if number != len(given):
        raise ValueError(
            f'the transformer takes num_feature_levels={number}, but the backbone gives {len(given)}; '
            f'set backbone.pyramid.levels to as many levels'
        )
    for name, head in heads(model, 'decode_head', 'auxiliary_head', 'panoptic_head'):
        check_features(name, head, backbone.out_channels)
        decoder = getattr(head, 'pixel_decoder', None)
        if hasattr(decoder, 'strides'):  # of Mask2Former
            check_pixel_decoder(name, decoder, backbone)


def heads(model: nn.Module, *names: str) -> Iterator[tuple[str, nn.Module]]:
    """The heads that a model has of those names, each with its name; there may be several of one."""
    for name in names:
        head = getattr(model, name, None)
        if head is not None:
            yield from ((name, part) for part in (head if isinstance(head, nn.ModuleList) else [head]))


def check_features(name: str, head: nn.Module, given: tuple[int, ...]) -> None:
    """Check the features that a segmenter's head picks, by their index, against those there are."""
    index, channels = getattr(head, 'in_index', None), getattr(head, 'in_channels', None)
    if index is None or channels is None:
        return
    picked = [index] if isinstance(index, int) else index
    there = [given[i] for i in picked if -len(given) <= i < len(given)]
    # One number for several features is their sum: they are concatenated.
    needed = [channels] if isinstance(channels, int) else list(channels)
    found = [sum(there)] if isinstance(channels, int) else there
    if len(there) < len(picked) or found != needed:
        raise ValueError(
            f'the {name} takes {channels} channels at in_index={index}, but the backbone gives '
            f'{given}; set {name}.in_channels and in_index to some of these (aux_stages=True adds more)'
        )


def check_pixel_decoder(name: str, decoder: nn.Module, backbone: CEDNet) -> None:
    """Check the raw levels that a pixel decoder takes; its convolutions begin with the deepest."""
    strides = tuple(decoder.strides)
    channels = tuple(conv.in_channels for conv in decoder.input_convs)
    given = backbone.out_channels[::-1][: len(channels)]
    if strides != backbone.out_strides or channels != given:
        raise ValueError(
            f'the {name} takes levels of strides {strides}, the deepest of {channels} channels, but '
            f'the backbone gives strides {backbone.out_strides} and {given} channels; set '
            f'{name}.in_channels and backbone.out_levels to match'
        )


def levels_taken(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name of a detector's head -> the strides that it takes."""
    taken = {}
    for name in ('bbox_head', 'rpn_head'):
        generator = getattr(getattr(model, name, None), 'prior_generator', None)
        if generator is not None:
            taken[name] = tuple(stride[0] for stride in generator.strides)
    extractor = getattr(getattr(model, 'roi_head', None), 'bbox_roi_extractor', None)
    if isinstance(extractor, nn.ModuleList):  # of a cascade: one for each stage, all alike
        extractor = extractor[0]
    if extractor is not None:
        taken['roi_head'] = tuple(extractor.featmap_strides)
    return taken
