"""Layer-wise learning-rate decay for CEDNet: the closer to the image, the smaller the learning rate."""

from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from mmcednet.models import CEDNet
from mmcednet.models.cednet import DECAY_TYPES
from mmcednet.models.utils import check_choice

BACKBONE = 'backbone.'


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds optimizers whose learning rate decreases from the heads to the image.

    A parameter of depth d gets lr * decay_rate^(num_layers + 1 - d), at most lr; pyramid and heads get
    lr. One-dimensional parameters and biases have no weight decay.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper.
        paramwise_cfg: ``decay_type`` ('coarse' or 'fine', see :meth:`CEDNet.get_decay_depth`),
            ``decay_rate`` in (0, 1], ``num_layers``.

    Raises:
        ValueError: ``paramwise_cfg`` has other keys or values, or the model's ``backbone`` is not a
            CEDNet.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        if set(paramwise_cfg) != {'decay_type', 'decay_rate', 'num_layers'}:
            raise ValueError(
                f'paramwise_cfg {paramwise_cfg} must have decay_type, decay_rate and num_layers'
            )
        self.decay_type = check_choice('decay_type', paramwise_cfg['decay_type'], DECAY_TYPES)
        self.decay_rate = paramwise_cfg['decay_rate']
        self.num_layers = paramwise_cfg['num_layers']
        if not 0 < self.decay_rate <= 1:
            raise ValueError(f'decay_rate {self.decay_rate} must be in (0, 1]')
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Append the parameter groups of ``module``'s trainable parameters to ``params``."""
        backbone = getattr(module, 'backbone', None)
        if not isinstance(backbone, CEDNet):
            raise ValueError(
                f'{type(self).__name__} needs a model with a CEDNet as backbone; the backbone of '
                f'{type(module).__name__} is {type(backbone).__name__}'
            )
        top = self.num_layers + 1
        groups: dict[tuple[int, bool], dict] = {}
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            depth = None
            if name.startswith(BACKBONE):
                depth = backbone.get_decay_depth(name.removeprefix(BACKBONE), self.decay_type)
            depth = top if depth is None else min(depth, top)
            has_decay = param.ndim > 1 and not name.endswith('.bias')
            if (depth, has_decay) not in groups:
                groups[depth, has_decay] = dict(
                    params=[],
                    lr=self.base_lr * self.decay_rate ** (top - depth),
                    weight_decay=self.base_wd if has_decay else 0.0,
                )
            groups[depth, has_decay]['params'].append(param)
        for (depth, _), group in sorted(groups.items()):
            numel = sum(param.numel() for param in group['params'])
            print_log(
                f'layer depth {depth}: lr {group["lr"]:.3e}, weight decay {group["weight_decay"]}, '
                f'{len(group["params"])} tensors, {numel:,} parameters',
                logger='current',
            )
            params.append(group)
