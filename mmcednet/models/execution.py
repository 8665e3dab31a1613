"""How a built network computes: what its backward pass computes again, and with which operators.

The network itself is plain torch and knows of neither. Both functions here replace the class of some
modules by a subclass whose forward pass computes the same; parameters, hooks and names stay.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from . import kernels
from .blocks import Blocks, CEDBlock, LongRangeCEDBlock
from .layers import (
    MLP,
    DepthwiseConv2d,
    DropPath,
    LayerNorm,
    LayerNorm2d,
    NormAct2d,
    to_channels_first,
    to_channels_last,
)
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
    # torch 2.1 can neither compile can_checkpoint nor checkpoint 'meta' tensors, which need no memory
    if kernels.is_traced() or x.is_meta or not can_checkpoint():
        return function(x)
    return checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)


def can_checkpoint() -> bool:
    """Whether there will be a backward pass; torch.func has its own, without checkpoints.

    A graph of torch.jit has none either: the random state that checkpoints keep would be a part of it.
    """
    transformed = torch.jit.is_tracing() or kernels.is_transformed()
    return torch.is_grad_enabled() and not transformed


class FastDepthwiseConv2d(DepthwiseConv2d):
    """A depth-wise convolution that uses the operators of :mod:`mmcednet.models.kernels`."""

    def forward(self, x: Tensor) -> Tensor:
        compute = kernels.find('depthwise_conv', x, self.weight, self.bias, training=self.training)
        if compute is None:
            return super().forward(x)
        return compute(x, self.weight, self.bias, self.dilation[0])


class FastLayerNorm(LayerNorm):
    """A norm over (N, H, W, C) that uses the operators of :mod:`mmcednet.models.kernels`."""

    def forward(self, x: Tensor) -> Tensor:
        compute = kernels.find('norm_act', x, self.weight, self.bias)
        if compute is None:
            return super().forward(x)
        return compute(x, self.weight, self.bias, self.eps, False)


class FastLayerNorm2d(LayerNorm2d):
    """A norm over (N, C, H, W) that uses the operators of :mod:`mmcednet.models.kernels`."""

    gelu = False

    def forward(self, x: Tensor) -> Tensor:
        compute = kernels.find('norm_act', x, self.weight, self.bias)
        if compute is None:
            return super().forward(x)
        y = compute(to_channels_last(x), self.weight, self.bias, self.eps, self.gelu)
        return to_channels_first(y)


class FastNormAct2d(FastLayerNorm2d, NormAct2d):
    """A norm and GELU that use the operators of :mod:`mmcednet.models.kernels`."""

    gelu = True


class FastRecomputedNormAct2d(FastNormAct2d, RecomputedNormAct2d):
    """A :class:`FastNormAct2d`; a :class:`RecomputedNormAct2d` where there is no operator."""


class FastMLP(MLP):
    """An MLP that uses the operators of :mod:`mmcednet.models.kernels`.

    They compute GELU again in the backward pass. On a GPU this costs next to nothing, as it is in the
    pass of GELU's gradient; on a CPU it does, so that there an MLP must be allowed to recompute.
    """

    recomputes = False

    def forward(self, x: Tensor) -> Tensor:
        compute = None
        if has_original_layers(self):
            weights = get_weights(self)
            compute = kernels.find('mlp', x, *weights, training=self.training)
            if compute is kernels.cpu.mlp and torch.is_grad_enabled() and not self.recomputes:
                compute = None
        return super().forward(x) if compute is None else compute(x, *weights)


class FastRecomputedMLP(FastMLP, RecomputedMLP):
    """A :class:`FastMLP` that may recompute; a :class:`RecomputedMLP` where there is no operator."""

    recomputes = True


class FastCEDBlock(CEDBlock):
    """A block whose norm, MLP and residual are one operator of :mod:`mmcednet.models.kernels`."""

    def forward(self, x: Tensor) -> Tensor:
        compute = find_second_half(self.norm, self.mlp, self.drop_path, x)
        if compute is None:
            return super().forward(x)
        return compute(self.dwconv(x), None)


class FastLongRangeCEDBlock(LongRangeCEDBlock):
    """A long-range block: norm and shortcut, and norm, MLP and residual, are one operator each."""

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm1
        normalise = kernels.find('norm_act', x, norm.weight, norm.bias)
        compute = find_second_half(self.norm2, self.mlp, self.drop_path, x)
        if normalise is None or compute is None or not is_original(norm, NORMS):
            return super().forward(x)
        y = to_channels_last(self.dwconv1(x))
        y = normalise(y, norm.weight, norm.bias, norm.eps, True, to_channels_last(x))
        y = to_channels_first(y)
        return compute(self.dwconv2(y), y)


def find_second_half(
    norm: LayerNorm2d, mlp: MLP, drop_path: DropPath, residual: Tensor
) -> Callable[[Tensor, Tensor | None], Tensor] | None:
    """What computes residual + drop_path(mlp(norm(x) + shortcut)) of x and shortcut.

    All are (N, C, H, W). None if there is no operator, or if the modules, which it would not call, are
    not as constructed.
    """
    if kernels.find('norm_mlp', residual) is None:  # first, as this is quick
        return None
    originals = is_original(norm, NORMS), is_original(mlp, MLPS), is_original(drop_path, (DropPath,))
    if not all(originals) or not has_original_layers(mlp):
        return None
    weights = get_weights(mlp)
    operands = norm.weight, norm.bias, *weights
    compute = kernels.find('norm_mlp', residual, *operands, training=mlp.training)
    if compute is None:
        return None

    def compute_second_half(x: Tensor, shortcut: Tensor | None) -> Tensor:
        y = compute(
            to_channels_last(x),
            norm.weight,
            norm.bias,
            norm.eps,
            isinstance(norm, NormAct2d),
            None if shortcut is None else to_channels_last(shortcut),
            *weights,
            to_channels_last(residual),
            drop_path.draw_factors(x),
        )
        return to_channels_first(y)

    return compute_second_half


def get_weights(mlp: MLP) -> tuple[Tensor | None, ...]:
    """Of both layers, and gamma, in the order of the operators' arguments."""
    return mlp.pwconv1.weight, mlp.pwconv1.bias, mlp.pwconv2.weight, mlp.pwconv2.bias, mlp.gamma


def is_original(module: nn.Module, classes: tuple[type, ...]) -> bool:
    """Whether a module is as constructed: of these classes, not of a subclass, and without hooks."""
    return type(module) in classes and not has_hooks(module)


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
    FastNormAct2d: FastRecomputedNormAct2d,
    MLP: RecomputedMLP,
    FastMLP: FastRecomputedMLP,
}
FULL: dict[type, type] = {Blocks: CheckpointedBlocks}
FAST: dict[type, type] = {
    DepthwiseConv2d: FastDepthwiseConv2d,
    LayerNorm: FastLayerNorm,
    LayerNorm2d: FastLayerNorm2d,
    NormAct2d: FastNormAct2d,
    RecomputedNormAct2d: FastRecomputedNormAct2d,
    MLP: FastMLP,
    RecomputedMLP: FastRecomputedMLP,
    CEDBlock: FastCEDBlock,
    LongRangeCEDBlock: FastLongRangeCEDBlock,
}
NORMS = (FastLayerNorm2d, FastNormAct2d, FastRecomputedNormAct2d)
MLPS = (FastMLP, FastRecomputedMLP)


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


def describe_kernels(model: nn.Module) -> str:
    """The operators that the layers of a model use on its device, for a log; '' if none may use any."""
    if not any(type(module) in FAST.values() for module in model.modules()):
        return ''
    return kernels.describe(next(model.parameters()).device)
