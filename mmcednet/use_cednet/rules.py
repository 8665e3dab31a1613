"""The rules by which CEDNet replaces a config's backbone and neck.

The old backbone and neck run once (features.py), so the rules depend on the features that the heads
receive, not on the names of frameworks:

1. A neck that returns a pyramid, with equal channels at consecutive levels, is replaced by CEDNet's
   pyramid. Necks after it in a list (BFP, DyHead) remain.
2. Any other neck does more than fuse, so it remains, and takes CEDNet's raw levels of the same
   strides.
3. Heads without a neck take raw levels of the same strides. Where several features of a dilated
   backbone have the same stride, the earlier ones become that level of CEDNet's earlier stages.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmcednet.config_files import get_type
from mmcednet.models import CEDNet

from .features import (
    IMAGE_SIZE,
    Feature,
    build,
    describe_features,
    get_level,
    is_pyramid,
    make_image,
    run,
    run_backbone,
)

# Backbones that cannot be replaced although their features could be, and why
INSEPARABLE = {
    'TridentResNet': 'its three branches, which share weights, are the framework itself',
    'DetectoRS_ResNet': 'it and its neck RFP call each other; without them, htc/ remains',
    'HourglassNet': 'each hourglass returns stride 4, with a loss of its own; CEDNet has stride 4 once',
    'VPD': 'a diffusion model with a text encoder, which the head depends on',
    **dict.fromkeys(
        ('BiSeNetV1', 'BiSeNetV2', 'DDRNet', 'FastSCNN', 'ICNet', 'PIDNet', 'STDCContextPathNet'),
        'the backbone is the framework: its branches have losses of their own, '
        'and fcn/ or upernet/ is what remains without them',
    ),
}
HEADS = ('decode_head', 'auxiliary_head', 'panoptic_head', 'track_head', 'bbox_head', 'head')


class Plan(NamedTuple):
    """The new parts of a model."""

    backbone: dict[str, Any]
    parts: dict[str, Any]  # neck and heads: what overrides them
    reason: str  # what was chosen, and why


class Slot(NamedTuple):
    """Where a head finds the counterpart of an old feature."""

    position: int
    channels: int


def plan_model(model: dict, scope: str, backbone: dict) -> Plan:
    """Decide how CEDNet replaces the backbone and the neck of a model.

    Args:
        model: The model's config, with ``backbone``.
        scope: 'mmdet', 'mmseg' or 'mmpretrain'.
        backbone: Arguments of CEDNet other than its outputs.

    Raises:
        ValueError: CEDNet cannot replace the backbone; the message says why.
    """
    old = model['backbone']
    name = get_type(old)
    if name == 'CEDNet':
        raise ValueError('the backbone is CEDNet already')
    if name in INSEPARABLE:
        raise ValueError(f'CEDNet cannot replace {name}: {INSEPARABLE[name]}')
    outs, size = run_backbone(old, scope)
    features = describe_features(outs, size)
    neck = model.get('neck')
    if get_type(neck) == 'GlobalAveragePooling' or all(feature.stride == 0 for feature in features):
        return plan_classifier(model, features, backbone)
    if neck is None:
        return plan_raw_levels(model, name, features, backbone)
    first = to_list(neck)[0]
    try:
        fused = describe_features(run(build(first, scope), outs), size)
    except ValueError:
        fused = read_fused(first, features)  # of a neck that needs a GPU
        if not fused:
            raise
    if len(features) > 1 and is_pyramid(fused):
        return plan_pyramid(neck, name, fused, backbone)
    return plan_kept_neck(model, scope, features, fused, backbone)


def read_fused(neck: dict, features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Features of a neck with FPN's arguments; none if it has others."""
    if not {'out_channels', 'num_outs'} <= set(neck):
        return ()
    first = features[neck.get('start_level', 0)].stride
    return tuple(Feature(neck['out_channels'], first * 2**index) for index in range(neck['num_outs']))


def plan_pyramid(neck: Any, name: str, fused: Sequence[Feature], backbone: dict) -> Plan:
    """Rule 1."""
    levels = tuple(get_level(feature) for feature in fused)
    channels = fused[0].channels
    first, *rest = copy.deepcopy(to_list(neck))
    reason = (
        f'The heads take strides {list_strides(fused)} with {channels} channels, which '
        f'{get_type(first)} made of {name}; CEDNet needs no neck'
    )
    if rest:
        reason += f'. {get_type(rest)} remains'
    backbone = dict(backbone, pyramid=dict(levels=levels, channels=channels))
    CEDNet(**drop_type(backbone))  # checks the arguments
    return Plan(backbone, dict(neck=rest or None), reason)


def plan_kept_neck(
    model: dict,
    scope: str,
    features: Sequence[Feature],
    fused: Sequence[Feature],
    backbone: dict,
) -> Plan:
    """Rule 2."""
    first, *rest = copy.deepcopy(to_list(model['neck']))
    name = get_type(first)
    levels = tuple(require_level(feature, name) for feature in features)
    if len(set(levels)) < len(levels):
        raise ValueError(
            f'{name} takes several features of the same stride, {list_strides(features)}; '
            f'CEDNet returns one per stride'
        )
    backbone = set_out_levels(backbone, levels)
    new = CEDNet(**drop_type(backbone))
    edit = edit_neck(first, [feature.channels for feature in features], new.out_channels)
    new.eval()
    outs = run(new, make_image(backbone, IMAGE_SIZE))
    found = describe_features(run(build({**first, **edit}, scope), outs), IMAGE_SIZE)
    if [feature.stride for feature in found] != [feature.stride for feature in fused]:
        raise ValueError(f'{name} returns other strides with CEDNet, {list_strides(found)}')
    parts = dict(neck=[{**first, **edit}, *rest] if is_sequence(model['neck']) else edit)
    if found != fused:
        slots = {index: Slot(index, feature.channels) for index, feature in enumerate(found)}
        for head_name, head in iter_heads(model):
            parts[head_name] = edit_head(head, fused, slots, len(found))
    reason = f"{name} does more than fuse and remains; it takes CEDNet's {list_levels(levels)}"
    return Plan(backbone, parts, reason)


def plan_classifier(model: dict, features: Sequence[Feature], backbone: dict) -> Plan:
    """A head on the mean of c5, for vectors or features that are pooled."""
    backbone = set_out_levels(backbone, (5,))
    channels = CEDNet(**drop_type(backbone)).out_channels[0]
    head = model.get('head') or {}
    if head.get('in_channels') != features[-1].channels:
        raise ValueError(
            f'{get_type(head)} has in_channels={head.get("in_channels")}, but the backbone returns '
            f'{features[-1].channels} channels: they depend on each other in another way'
        )
    parts: dict[str, Any] = dict(head=dict(in_channels=channels))
    if get_type(model.get('neck')) != 'GlobalAveragePooling':
        pooling: dict[str, Any] = dict(type='GlobalAveragePooling')
        if 'neck' in model:  # also if it is None
            pooling = dict(_delete_=True, **pooling)
        parts = dict(neck=pooling, **parts)
    return Plan(backbone, parts, "The head takes the mean of CEDNet's c5, stride 32")


def plan_raw_levels(model: dict, name: str, features: Sequence[Feature], backbone: dict) -> Plan:
    """Rule 3."""
    if model.get('rpn_head') or model.get('roi_head'):
        raise ValueError(
            f'the RPN and the RoI heads take stride {list_strides(features)} of {name}, whose last '
            f'stage may be part of the RoI heads; use the config with FPN instead'
        )
    targets, aux_level = find_targets(model, name, features)
    taken = [target for heads in targets.values() for target in heads.values()]
    levels = tuple(sorted({level for level, depth in taken if depth == 0}))
    if not levels:
        raise ValueError(f'no head states with in_channels which features of {name} it takes')
    backbone = set_out_levels(backbone, levels)
    reason = f"The heads take CEDNet's {list_levels(levels)}"
    if any(depth for _, depth in taken):
        backbone['aux_stages'] = True
        if aux_level != 3:
            backbone['aux_level'] = aux_level
        reason += f', and level {aux_level} of earlier stages'
    out_channels = CEDNet(**drop_type(backbone)).out_channels
    parts: dict[str, Any] = {}
    for head_name, head in iter_heads(model):
        positions = {
            index: len(levels) + depth - 1 if depth else levels.index(level)
            for index, (level, depth) in targets[head_name].items()
        }
        if any(position >= len(out_channels) for position in positions.values()):
            raise ValueError(
                f'the {head_name} takes features of earlier stages than the arch has; choose one with '
                f'more stages'
            )
        slots = {index: Slot(position, out_channels[position]) for index, position in positions.items()}
        parts[head_name] = edit_head(head, features, slots, len(out_channels))
    return Plan(backbone, parts, reason)


def find_targets(
    model: dict, name: str, features: Sequence[Feature]
) -> tuple[dict[str, dict[int, tuple[int, int]]], int]:
    """Find CEDNet's counterparts of the features that each head takes.

    Returns:
        For each head, by the feature's index: its level and depth, 0 for the last stage, 1 for the
        stage before it, and so on. And the level of the earlier stages.
    """
    depths = [
        sum(other.stride == feature.stride for other in features[index + 1 :])
        for index, feature in enumerate(features)
    ]
    targets = {
        head_name: {
            index: (require_level(features[index], f'the {head_name}'), depths[index])
            for index in find_indices(head, len(features))
        }
        for head_name, head in iter_heads(model)
    }
    earlier = {level for taken in targets.values() for level, depth in taken.values() if depth}
    if len(earlier) > 1 or not earlier <= {3, 4, 5}:
        raise ValueError(
            f'the heads take several features of the same stride, {list_strides(features)}, of {name}; '
            f'CEDNet returns only one level, 3, 4 or 5, of its earlier stages'
        )
    aux_level = earlier.pop() if earlier else 3
    if 'auxiliary_head' in targets:  # on an earlier stage, as in the paper's UPerNet
        targets['auxiliary_head'] = dict.fromkeys(targets['auxiliary_head'], (aux_level, 1))
    return targets, aux_level


def set_out_levels(backbone: dict, levels: Sequence[int]) -> dict:
    """Return CEDNet's arguments for these raw levels, without a decoder that nothing would use."""
    backbone = dict(backbone)
    if tuple(levels) != (2, 3, 4, 5):
        backbone['out_levels'] = tuple(levels)
    if not {3, 4} & set(levels):
        backbone['final_decoder'] = False
    return backbone


def edit_neck(neck: dict, old: Sequence[int], new: Sequence[int]) -> dict[str, Any]:
    """Return a neck's new ``in_channels``, in its own order of levels.

    ``out_channels`` that start with ``in_channels``, of levels that pass through, change too (SSD).
    """
    in_channels = neck.get('in_channels')
    values = to_list(in_channels)
    if sorted(values) != sorted(old):
        raise ValueError(
            f'{get_type(neck)} has in_channels={in_channels}, but the backbone returns {list(old)} '
            f'channels: they depend on each other in another way'
        )
    channels = list(new) if values == list(old) else [dict(zip(old, new))[value] for value in values]
    # JPU requires a tuple, others a list
    new_channels = tuple(channels) if isinstance(in_channels, tuple) else channels
    edit: dict[str, Any] = dict(in_channels=new_channels if is_sequence(in_channels) else channels[0])
    out_channels = neck.get('out_channels')
    if is_sequence(out_channels) and to_list(out_channels)[: len(values)] == values:
        edit['out_channels'] = (*channels, *to_list(out_channels)[len(values) :])
    return edit


def iter_heads(model: dict) -> Iterator[tuple[str, Any]]:
    """Names and configs of the heads that state their input channels; a config may be a list."""
    for name in HEADS:
        if model.get(name) and find_indices(model[name], 1):
            yield name, model[name]


def find_indices(head: Any, num_features: int) -> list[int]:
    """Indices of the features that a head takes, those of its parts included."""
    if is_sequence(head):
        parts = [find_indices(part, num_features) for part in head]
        return sorted({index for part in parts for index in part})
    indices = set(get_own_indices(head, num_features))
    if 'c1_in_channels' in head:  # of DeepLabV3+: the first feature
        indices.add(0)
    for part in head.values():
        if isinstance(part, dict) and 'in_index' in part:
            indices.update(find_indices(part, num_features))
    return sorted(indices)


def get_own_indices(head: dict, num_features: int) -> list[int]:
    """Indices in the order of ``in_channels``; by default all of a list, or the last one."""
    in_channels = head.get('in_channels')
    if in_channels is None:
        return []
    default = range(len(in_channels)) if is_sequence(in_channels) else -1
    return [index % num_features for index in to_list(head.get('in_index', default))]


def edit_head(head: Any, features: Sequence[Feature], slots: Mapping[int, Slot], num_outs: int) -> Any:
    """Return what overrides a head: ``in_channels`` and ``in_index``; of a list of heads, the list.

    Raises:
        ValueError: The head's ``in_channels`` are not those of the features.
    """
    if is_sequence(head):
        return [merge(copy.deepcopy(part), edit_head(part, features, slots, num_outs)) for part in head]
    edit: dict[str, Any] = {}
    indices = get_own_indices(head, len(features))
    if indices:
        in_channels = head['in_channels']
        expected = [features[index].channels for index in indices]
        if to_list(in_channels) != expected:
            raise ValueError(
                f'{get_type(head)} has in_channels={in_channels}, but the features have {expected} '
                f'channels: backbone and head depend on each other in another way'
            )
        channels = [slots[index].channels for index in indices]
        positions = [slots[index].position for index in indices]
        edit['in_channels'] = channels if is_sequence(in_channels) else channels[0]
        if head.get('num_convs') == 0:  # then the head's own channels are its input's
            edit['channels'] = edit['in_channels']
        stated = head.get('in_index')
        default = get_own_indices(dict(in_channels=in_channels), num_outs)
        if isinstance(stated, int) or (to_list(stated) if stated else default) != positions:
            edit['in_index'] = positions if is_sequence(in_channels) else positions[0]
    if 'c1_in_channels' in head:
        edit['c1_in_channels'] = slots[0].channels
    for key, part in head.items():
        if isinstance(part, dict) and 'in_index' in part:
            edit[key] = edit_head(part, features, slots, num_outs)
    return edit


def merge(head: dict, edit: Mapping[str, Any]) -> dict:
    for key, value in edit.items():
        head[key] = merge(head[key], value) if isinstance(value, dict) else value
    return head


def require_level(feature: Feature, name: str) -> int:
    """Level of a feature that CEDNet can return without a pyramid.

    Raises:
        ValueError: It has another stride.
    """
    level = get_level(feature)
    if level not in (2, 3, 4, 5):
        raise ValueError(f'{name} takes stride {feature.stride}; CEDNet has strides 4, 8, 16 and 32')
    return level


def drop_type(backbone: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in backbone.items() if key not in ('type', '_delete_')}


def is_sequence(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def to_list(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple, range)) else [value]


def list_strides(features: Sequence[Feature]) -> str:
    return ', '.join(str(feature.stride) for feature in features)


def list_levels(levels: Sequence[int]) -> str:
    return ('level ' if len(levels) == 1 else 'levels ') + ', '.join(f'c{level}' for level in levels)
