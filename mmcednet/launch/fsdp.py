"""Training with FSDP: each process keeps a part of the weights, gradients and optimizer state."""

from typing import Any

import torch
from mmengine._strategy import FSDPStrategy
from mmengine.optim import BaseOptimWrapper
from mmengine.registry import FUNCTIONS, STRATEGIES
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmcednet.models.blocks import CED_BLOCKS


@FUNCTIONS.register_module()
def wrap_ced_blocks(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """An ``auto_wrap_policy`` of FSDP: each CED block is a unit, all else belongs to the whole model.

    Args:
        module: A part of the model.
        recurse: Whether the question is if parts of ``module`` may be units.
        nonwrapped_numel: Number of its parameters that are in no unit; not used.
    """
    return recurse or isinstance(module, CED_BLOCKS)


@STRATEGIES.register_module()
class CEDNetFSDPStrategy(FSDPStrategy):
    """mmengine's ``FSDPStrategy`` for optimizers with groups of parameters, and without GPUs too.

    Unlike there, the optimizer is built from the whole parameters: weight decay depends on their number
    of dimensions, and FSDP leaves each process with a flat part of them. Gradients are clipped by the
    norm of all parts.

    Args:
        As those of ``FSDPStrategy``; ``model_wrapper.use_orig_params`` must be True.
    """

    def prepare(self, model: nn.Module | dict, *, optim_wrapper: Any = None, **kwargs: Any) -> Any:
        """Build the optimizer and wrap the model; arguments as those of ``FSDPStrategy.prepare``."""
        if not self._prepared:
            model = self.build_model(model)
            if isinstance(optim_wrapper, dict):
                optim_wrapper = super().build_optim_wrapper(optim_wrapper, model)
        return super().prepare(model, optim_wrapper=optim_wrapper, **kwargs)

    def build_optim_wrapper(self, optim_wrapper: BaseOptimWrapper, model: Any) -> BaseOptimWrapper:
        """Return ``optim_wrapper``, which FSDP leaves valid, as it keeps the parameters themselves.

        Raises:
            ValueError: It does not, because ``use_orig_params`` is False.
        """
        kept = {id(param) for param in model.parameters()}
        groups = optim_wrapper.optimizer.param_groups
        if not all(id(param) in kept for group in groups for param in group['params']):
            raise ValueError('strategy.model_wrapper.use_orig_params is False; it must be True')
        if optim_wrapper.clip_grad_kwargs and optim_wrapper.clip_func is nn.utils.clip_grad_norm_:
            optim_wrapper.clip_func = lambda params, **settings: model.clip_grad_norm_(**settings)
        return optim_wrapper

    def optim_state_dict(self) -> dict:
        """The optimizer's whole state, by names of parameters; empty except on rank 0."""
        state = FullyShardedDataParallel.optim_state_dict(self.model, self.optim_wrapper.optimizer)
        if hasattr(self.optim_wrapper, 'loss_scaler'):
            state['loss_scaler'] = self.optim_wrapper.loss_scaler.state_dict()
        return state

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`optim_state_dict` returned."""
        rest = {key: state_dict.pop(key) for key in ('loss_scaler',) if key in state_dict}
        own = FullyShardedDataParallel.optim_state_dict_to_load(
            model=self.model, optim=self.optim_wrapper.optimizer, optim_state_dict=state_dict
        )
        self.optim_wrapper.load_state_dict({**own, **rest})

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        if not torch.cuda.is_available():
            # FSDP sends the initial weights between GPUs only; those of one seed are equal anyway
            on_cpu = dict(device_id=torch.device('cpu'), sync_module_states=False)
            self.model_wrapper: dict = dict(self.model_wrapper or {}, **on_cpu)
            # otherwise the weights to save are not copied, but freed before
            self.state_dict_config.offload_to_cpu = False
            self.optim_state_dict_config.offload_to_cpu = False
        return super()._wrap_model(model)
