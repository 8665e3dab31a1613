"""Fewer threads for small networks, in the commands that have chosen the number of threads."""

from functools import partial

import torch
from torch import nn

from mmcednet.checks.unwrap import unwrap_model
from mmcednet_threads import has_chosen

# Parameters times pixels of a batch for which a thread pays in training, see docs/performance.md
WORK_PER_THREAD = 2.5e10


def adapt_threads(model: nn.Module) -> None:
    """Let a model train with as many threads as pay for the batch, of those that torch has now.

    Args:
        model: Model of any toolbox; one without a ``backbone`` is left as it is, and so are all models
            where the user or a library has chosen the number of threads.
    """
    backbone = getattr(unwrap_model(model), 'backbone', None)
    if backbone is not None and has_chosen():
        params = sum(param.numel() for param in model.parameters())
        hook = partial(set_threads, params=params, limit=torch.get_num_threads())
        backbone.register_forward_pre_hook(hook)


def set_threads(backbone: nn.Module, args: tuple, params: int, limit: int) -> None:
    """Set the number of threads of a batch, each time anew: resumed trainings have the same.

    Args:
        backbone: The module that is called.
        args: Its arguments: images (N, C, H, W).
        params: Number of the model's parameters.
        limit: Largest number of threads; without gradients there are as many.
    """
    pixels = args[0].numel() // args[0].shape[1]
    pays = int(params * pixels / WORK_PER_THREAD) if torch.is_grad_enabled() else limit
    torch.set_num_threads(min(limit, max(1, pays)))
