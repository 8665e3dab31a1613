"""What the heads of an existing config receive, measured: its backbone and neck run on one image."""

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

IMAGE_SIZE = 384  # all strides up to 128 divide it


class Feature(NamedTuple):
    """A feature map."""

    channels: int
    stride: int  # 0 for a vector, after global pooling


def build(cfg: dict, scope: str) -> nn.Module:
    """Build a backbone or neck of a toolbox ('mmdet', 'mmseg', 'mmpretrain'), without its weights.

    Raises:
        ValueError: It cannot be built, for example because a package is missing.
    """
    cfg = copy.deepcopy(cfg)
    if 'pretrained' in cfg:
        cfg['pretrained'] = None
    try:
        with DefaultScope.overwrite_default_scope(scope):
            module = MODELS.build(cfg)
    except Exception as error:
        raise ValueError(f'{cfg.get("type")} cannot be built here: {describe(error)}') from error
    module.eval()  # not chained: mmdet's backbones return None
    for layer in module.modules():
        if getattr(layer, 'eps', None) == 0:  # newer versions of torch refuse it
            layer.eps = 1e-5
    return module


@torch.no_grad()
def run(module: nn.Module, *inputs: Any) -> tuple[Tensor, ...]:
    """Run a backbone or neck.

    Raises:
        ValueError: It needs other inputs, or returns something else than feature maps or vectors.
    """
    name = type(module).__name__
    try:
        outs = module(*inputs)
    except Exception as error:
        raise ValueError(f'{name} does not run on an image by itself: {describe(error)}') from error
    outs = (outs,) if isinstance(outs, Tensor) else tuple(outs)
    if not outs or not all(isinstance(out, Tensor) and out.ndim in (2, 4) for out in outs):
        raise ValueError(f'{name} returns more than feature maps, which CEDNet cannot replace')
    return outs


def run_backbone(cfg: dict, scope: str) -> tuple[tuple[Tensor, ...], int]:
    """Run a new backbone on one image; return its features and the size of the image in pixels.

    Some backbones run on images of one size only, which is their ``img_size``.
    """
    backbone = build(cfg, scope)
    size = cfg.get('img_size', 224)
    size = size if isinstance(size, int) else size[0]
    try:
        return run(backbone, make_image(cfg, IMAGE_SIZE)), IMAGE_SIZE
    except ValueError:
        return run(backbone, make_image(cfg, size)), size


def make_image(backbone: dict, size: int) -> Tensor:
    return torch.rand(1, backbone.get('in_channels', 3), size, size)


def describe_features(features: Sequence[Tensor], size: int) -> tuple[Feature, ...]:
    """Return the channels and strides of features of an image of ``size`` pixels."""
    return tuple(
        Feature(feature.shape[1], size // feature.shape[-1] if feature.ndim == 4 else 0)
        for feature in features
    )


def get_level(feature: Feature) -> int | None:
    """Level k of a feature of stride 2^k; None for other strides and for vectors."""
    level = math.log2(feature.stride) if feature.stride else math.inf
    return int(level) if level in range(10) else None


def is_pyramid(features: Sequence[Feature]) -> bool:
    """Whether CEDNet's pyramid can be these: equal channels, levels 2 or 3 to 5 or above."""
    levels = [get_level(feature) or 0 for feature in features]
    return (
        len({feature.channels for feature in features}) == 1
        and levels[0] in (2, 3)
        and levels == list(range(levels[0], levels[0] + len(levels)))
        and levels[-1] >= 5
    )


def describe(error: Exception) -> str:
    """Return an error's type and last line."""
    text = str(error).strip().splitlines()
    return f'{type(error).__name__}: {text[-1]}' if text else type(error).__name__
