"""Layer-wise learning-rate decay for CEDNet: the closer to the image, the smaller the rate."""

import re
from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

BACKBONE = 'backbone.'
ADAPTERS = ('pyramid.',)
STEM = re.compile(r'stem\.(?:(?P<first>(?:conv|norm)\d)|blocks|downsample)\.')
STAGE = re.compile(
    r'stages\.(?P<stage>\d+)\.'
    r'(?:encoder\.(?:level(?P<level>[345])\.(?P<block>\d+)|down(?P<down>[45]))|decoder)\.'
)
FIRST_LEVEL4_BLOCKS = 4


def coarse_group(stage: int, first_half: bool) -> int:
    """One group for each cascade stage, 1..m."""
    return stage + 1


def fine_group(stage: int, first_half: bool) -> int:
    """Two groups for each cascade stage, 1..m."""
    return 2 * stage if first_half else 2 * stage + 1


GROUPS: dict[str, Callable[[int, bool], int]] = {'coarse': coarse_group, 'fine': fine_group}


def layer_group(name: str, decay_type: str) -> int | None:
    """The group of a backbone's parameter, from 0 at the image upwards; None for its adapters.

    Args:
        name: Name of the parameter, without 'backbone.'.
        decay_type: 'coarse': the stem's convolutions (0), its blocks and the convolution to stride 8
            (1), each cascade stage (2, 3, ...). 'fine': the same, but two groups for each stage, the
            second from its fifth block at stride 16 on.

    Raises:
        ValueError: The backbone has no such parameter.
    """
    if name.startswith(ADAPTERS):
        return None
    match = STEM.match(name)
    if match:
        return 0 if match['first'] else 1
    match = STAGE.match(name)
    if not match:
        raise ValueError(f'no layer group for the backbone parameter {name!r}')
    level4 = match['level'] == '4' and int(match['block']) < FIRST_LEVEL4_BLOCKS
    first_half = match['level'] == '3' or match['down'] == '4' or level4
    return GROUPS[decay_type](int(match['stage']) + 1, first_half)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Optimiser whose rate falls from the head to the image.

    A parameter of group g gets lr * decay_rate^(num_layers + 1 - g), never more than lr; adapters and
    heads get lr. Parameters of one dimension, and biases, have no weight decay.

    Args:
        optim_wrapper_cfg: mmengine's.
        paramwise_cfg: ``decay_type`` ('coarse' or 'fine', see :func:`layer_group`), ``decay_rate``
            in (0, 1], ``num_layers``.

    Raises:
        ValueError: ``paramwise_cfg`` is not like that, or the model has no CEDNet as ``backbone``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        if set(paramwise_cfg) != {'decay_type', 'decay_rate', 'num_layers'}:
            raise ValueError(
                f'paramwise_cfg {paramwise_cfg} must hold decay_type, decay_rate and num_layers'
            )
        self.decay_type = paramwise_cfg['decay_type']
        self.decay_rate = paramwise_cfg['decay_rate']
        self.num_layers = paramwise_cfg['num_layers']
        if self.decay_type not in GROUPS:
            raise ValueError(f'decay_type {self.decay_type!r} must be one of: {", ".join(GROUPS)}')
        if not 0 < self.decay_rate <= 1:
            raise ValueError(f'decay_rate {self.decay_rate} must be in (0, 1]')
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Append the groups of ``module``'s trainable parameters to ``params``."""
        top = self.num_layers + 1
        groups: dict[tuple[int, bool], dict] = {}
        names = [name for name, _ in module.named_parameters()]
        if not any(name.startswith(BACKBONE) for name in names):
            raise ValueError(f'{type(module).__name__} has no parameters under {BACKBONE!r}')
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            group = None
            if name.startswith(BACKBONE):
                group = layer_group(name.removeprefix(BACKBONE), self.decay_type)
            group = top if group is None else min(group, top)
            decays = param.ndim > 1 and not name.endswith('.bias')
            if (group, decays) not in groups:
                groups[group, decays] = dict(
                    params=[],
                    lr=self.base_lr * self.decay_rate ** (top - group),
                    weight_decay=self.base_wd if decays else 0.0,
                )
            groups[group, decays]['params'].append(param)
        for (group, _), settings in sorted(groups.items()):
            number = sum(param.numel() for param in settings['params'])
            print_log(
                f'layer group {group}: lr {settings["lr"]:.3e}, weight decay '
                f'{settings["weight_decay"]}, {len(settings["params"])} tensors, {number:,} parameters',
                logger='current',
            )
            params.append(settings)
