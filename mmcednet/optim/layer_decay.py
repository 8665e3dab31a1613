"""Layer-wise learning-rate decay: the closer to the image, the smaller the learning rate."""

from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

BACKBONE = 'backbone.'


class SettingError(ValueError):
    """A setting of the optimizer is wrong; the message is one sentence."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds optimizers whose learning rate decreases from the heads to the image.

    For backbones with a method ``get_decay_depth``: CEDNet and RevCol.

    A parameter of depth d gets lr * decay_rate^(num_layers + 1 - d), at most lr; pyramid and heads get
    lr. One-dimensional parameters and biases have no weight decay.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper.
        paramwise_cfg: ``decay_type`` ('coarse' or 'fine' for CEDNet, see
            :meth:`CEDNet.get_decay_depth`; 'layer_wise' for RevCol), ``decay_rate`` in (0, 1],
            ``num_layers``; optionally ``head_weight_decay``, the weight decay of all parameters outside
            the backbone, biases and norms too (default: None, as inside), and ``custom_keys``, which
            maps parts of parameter names to ``dict(lr_mult=...)``, the factor on lr that replaces the
            decay; of several that fit, the longest one counts, as in mmengine (default: {}).

    Raises:
        ValueError: ``paramwise_cfg`` has other keys or values, or the model's ``backbone`` has no
            ``get_decay_depth``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        required, optional = (
            {'decay_type', 'decay_rate', 'num_layers'},
            {'head_weight_decay', 'custom_keys'},
        )
        if not required <= set(paramwise_cfg) <= required | optional:
            raise SettingError(
                f'paramwise_cfg {paramwise_cfg} must have decay_type, decay_rate and num_layers, and '
                f'may have head_weight_decay and custom_keys'
            )
        self.decay_type = paramwise_cfg['decay_type']
        self.decay_rate = paramwise_cfg['decay_rate']
        self.num_layers = paramwise_cfg['num_layers']
        self.head_weight_decay = paramwise_cfg.get('head_weight_decay')
        self.custom_keys = paramwise_cfg.get('custom_keys') or {}
        if not 0 < self.decay_rate <= 1:
            raise SettingError(f'decay_rate {self.decay_rate} must be in (0, 1]')
        for key, setting in self.custom_keys.items():
            if set(setting) != {'lr_mult'}:
                raise SettingError(f'custom_keys {key!r}: {setting} must be a dict of lr_mult alone')
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Append the parameter groups of ``module``'s trainable parameters to ``params``."""
        backbone = getattr(module, 'backbone', None)
        if not hasattr(backbone, 'get_decay_depth'):
            raise SettingError(
                f'{type(self).__name__} needs a model with a CEDNet or RevCol as backbone; the '
                f'backbone of {type(module).__name__} is {type(backbone).__name__}'
            )
        if self.base_lr is None:
            raise SettingError(f'{type(self).__name__} needs optim_wrapper.optimizer.lr')
        groups: dict[tuple[float, float], dict] = {}
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            lr = self.base_lr * self._get_lr_mult(name, backbone)
            weight_decay = self.base_wd or 0.0
            if param.ndim <= 1 or name.endswith('.bias'):
                weight_decay = 0.0
            if self.head_weight_decay is not None and not name.startswith(BACKBONE):
                weight_decay = self.head_weight_decay
            group = groups.setdefault(
                (lr, weight_decay), dict(params=[], lr=lr, weight_decay=weight_decay)
            )
            group['params'].append(param)
        for _, group in sorted(groups.items()):
            numel = sum(param.numel() for param in group['params'])
            print_log(
                f'lr {group["lr"]:.3e}, weight decay {group["weight_decay"]}: '
                f'{len(group["params"])} tensors, {numel:,} parameters',
                logger='current',
            )
            params.append(group)

    def _get_lr_mult(self, name: str, backbone: Any) -> float:
        fitting = [key for key in self.custom_keys if key in name]
        if fitting:
            return self.custom_keys[max(fitting, key=len)]['lr_mult']
        top = self.num_layers + 1
        depth = None
        if name.startswith(BACKBONE):
            depth = backbone.get_decay_depth(name.removeprefix(BACKBONE), self.decay_type)
        return 1.0 if depth is None else self.decay_rate ** (top - min(depth, top))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ConvNeXtOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds mmdet's optimizers for ConvNeXt, with a weight decay of their own outside the backbone.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper.
        paramwise_cfg: That of mmdet's ``LearningRateDecayOptimizerConstructor``, and
            ``head_weight_decay``, the weight decay of all parameters outside the backbone, biases and
            norms too.

    Raises:
        ValueError: ``paramwise_cfg`` has no ``head_weight_decay``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        if 'head_weight_decay' not in paramwise_cfg:
            raise SettingError(
                f'paramwise_cfg {paramwise_cfg} must have head_weight_decay; without one, use '
                f"mmdet's LearningRateDecayOptimizerConstructor"
            )
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        self.head_weight_decay = paramwise_cfg.pop('head_weight_decay')
        self.inner = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type='mmdet.LearningRateDecayOptimizerConstructor',
                optim_wrapper_cfg=optim_wrapper_cfg,
                paramwise_cfg=paramwise_cfg,
            )
        )

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Append the parameter groups of ``module``'s trainable parameters to ``params``."""
        groups: list[dict] = []
        self.inner.add_params(groups, module)
        in_backbone = {
            id(param) for name, param in module.named_parameters() if name.startswith(BACKBONE)
        }
        for group in groups:
            for inside in (True, False):
                chosen = [param for param in group['params'] if (id(param) in in_backbone) == inside]
                if chosen:
                    weight_decay = group['weight_decay'] if inside else self.head_weight_decay
                    params.append(dict(params=chosen, lr=group['lr'], weight_decay=weight_decay))
