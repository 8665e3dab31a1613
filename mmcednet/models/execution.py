"""How a built network computes: what its backward pass computes again, and with which operators.

The network itself is plain torch and knows of neither. Both functions here replace the class of some
modules by a subclass whose forward pass computes the same; parameters, hooks and names stay.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from . import kernels
from .blocks import Blocks
from .layers import MLP, DepthwiseConv2d, NormAct2d
from .utils import check_choice

RECOMPUTE = ('none', 'cheap', 'full')


class CheckpointedBlocks(Blocks):
    """Blocks of which only the inputs are kept for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            x = checkpoint(block, x, use_reentrant=False) if can_checkpoint() else block(x)
        return x


class RecomputedNormAct2d(NormAct2d):
    """A norm and GELU of which only the input is kept for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return recompute(super().forward, x)


class RecomputedMLP(MLP):
    """An MLP that does not keep the output of GELU for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        x = recompute(self.project, self.pwconv1(x))
        return x if self.gamma is None else self.gamma * x

    def project(self, x: Tensor) -> Tensor:
        return self.pwconv2(self.act(x))


def recompute(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)``; only ``x`` is kept for the backward pass, which computes the rest again.

    It stops at the last activation that it needs: in GELU -> linear, the matrix product is not
    repeated. The gradients are the same. Compilers choose by themselves what to compute again.

    Args:
        function: Draws no random numbers.
        x: Its input.
    """
    if not can_checkpoint() or kernels.is_traced():
        return function(x)
    return checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)


def can_checkpoint() -> bool:
    """Whether there will be a backward pass; torch.func has its own, without checkpoints."""
    return torch.is_grad_enabled() and not kernels.is_transformed()


class FastDepthwiseConv2d(DepthwiseConv2d):
    """A depth-wise convolution that uses the operators of :mod:`mmcednet.models.kernels`."""

    def forward(self, x: Tensor) -> Tensor:
        compute = kernels.find('depthwise_conv', x, self.weight, self.bias)
        if compute is None:
            return super().forward(x)
        return compute(x, self.weight, self.bias, self.dilation[0])


class FastMLP(MLP):
    """An MLP that uses the operators of :mod:`mmcednet.models.kernels`.

    They compute GELU again in the backward pass, so it uses them only where no gradients are needed.
    """

    recomputes = False

    def forward(self, x: Tensor) -> Tensor:
        may_recompute = self.recomputes or not torch.is_grad_enabled()
        if not may_recompute or not has_original_layers(self):
            return super().forward(x)
        one, two = self.pwconv1, self.pwconv2
        weights = (one.weight, one.bias, two.weight, two.bias, self.gamma)
        compute = kernels.find('mlp', x, *weights)
        return super().forward(x) if compute is None else compute(x, *weights)


class FastRecomputedMLP(FastMLP, RecomputedMLP):
    """A :class:`FastMLP` that may recompute; a :class:`RecomputedMLP` where there is no operator."""

    recomputes = True


def has_original_layers(mlp: MLP) -> bool:
    """Whether the layers of an MLP are as constructed: not replaced, by an adapter say, nor hooked."""
    layers = (mlp.pwconv1, mlp.act, mlp.pwconv2)
    return (
        [type(layer) for layer in layers] == [nn.Linear, nn.GELU, nn.Linear]
        and mlp.act.approximate == 'none'
        and mlp.pwconv1.bias is not None
        and mlp.pwconv2.bias is not None
        and not any(has_hooks(layer) for layer in layers)
    )


HOOKS = ('forward_hooks', 'forward_pre_hooks', 'backward_hooks', 'backward_pre_hooks')


def has_hooks(module: nn.Module) -> bool:
    """Whether functions are called when a module is, or when any module is."""
    return any(
        getattr(module, f'_{kind}') or getattr(nn.modules.module, f'_global_{kind}') for kind in HOOKS
    )


# class of a module -> the class that it gets
CHEAP: dict[type, type] = {
    NormAct2d: RecomputedNormAct2d,
    MLP: RecomputedMLP,
    FastMLP: FastRecomputedMLP,
}
FULL: dict[type, type] = {Blocks: CheckpointedBlocks}
FAST: dict[type, type] = {
    DepthwiseConv2d: FastDepthwiseConv2d,
    MLP: FastMLP,
    RecomputedMLP: FastRecomputedMLP,
}


def replace_classes(model: nn.Module, classes: Mapping[type, type], enabled: bool) -> None:
    if not enabled:
        classes = {new: old for old, new in classes.items()}
    for module in model.modules():
        if type(module) in classes:
            module.__class__ = classes[type(module)]


def apply_recompute(model: nn.Module, policy: str) -> None:
    """Set what the backward pass computes again instead of keeping it, in place.

    'cheap' concerns the layers :class:`MLP` and :class:`NormAct2d`, wherever they are, 'full' the
    blocks of CEDNet. It is the same in all versions of torch.

    Args:
        model: A CEDNet, or a model with one.
        policy: As the argument ``recompute`` of :class:`CEDNet`.

    Raises:
        ValueError: ``policy`` is unknown.
    """
    check_choice('recompute', policy, RECOMPUTE)
    replace_classes(model, CHEAP, policy == 'cheap')
    replace_classes(model, FULL, policy == 'full')


def use_kernels(model: nn.Module, enabled: bool = True) -> None:
    """Let layers use the operators of :mod:`mmcednet.models.kernels` where these are faster, in place.

    Args:
        model: A CEDNet, or a model with one.
        enabled: False: compute with plain torch. Default: True.
    """
    replace_classes(model, FAST, enabled)
