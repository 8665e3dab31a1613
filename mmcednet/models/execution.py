"""How a built network computes: what its backward pass computes again, and with which operators.

The network itself is plain torch and knows of neither. The functions here give some modules a subclass
with two switches, and turn them: what the modules compute stays the same, and so do parameters, hooks
and names.
"""

from collections.abc import Callable, Iterator

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


class Switchable:
    """A layer's switches; with both off, it is the plain layer.

    Attributes:
        recomputes: Whether its backward pass computes again what need not be kept.
        uses_kernels: Whether it uses the operators of :mod:`mmcednet.models.kernels`.
    """

    recomputes = False
    uses_kernels = False


class SwitchableBlocks(Switchable, Blocks):
    """Blocks of which only the inputs are kept for the backward pass, if they recompute."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.recomputes or not can_checkpoint():
            return super().forward(x)
        for block in self:
            x = checkpoint(block, x, use_reentrant=False)
        return x


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


class SwitchableDepthwiseConv2d(Switchable, DepthwiseConv2d):
    """A depth-wise convolution that may use operators."""

    def forward(self, x: Tensor) -> Tensor:
        compute = None
        if self.uses_kernels:
            compute = kernels.find('depthwise_conv', x, self.weight, self.bias, training=self.training)
        if compute is None:
            return super().forward(x)
        return compute(x, self.weight, self.bias, self.dilation[0])


class SwitchableLayerNorm(Switchable, LayerNorm):
    """A norm over (N, H, W, C) that may use operators."""

    def forward(self, x: Tensor) -> Tensor:
        y = normalize(self, x, gelu=False)
        return super().forward(x) if y is None else y


class SwitchableLayerNorm2d(Switchable, LayerNorm2d):
    """A norm over (N, C, H, W) that may use operators."""

    def forward(self, x: Tensor) -> Tensor:
        y = normalize(self, to_channels_last(x), gelu=False)
        return super().forward(x) if y is None else to_channels_first(y)


class SwitchableNormAct2d(Switchable, NormAct2d):
    """A norm and GELU that may use operators, which recompute, or keep only their input."""

    def forward(self, x: Tensor) -> Tensor:
        y = normalize(self, to_channels_last(x), gelu=True)
        if y is not None:
            return to_channels_first(y)
        return recompute(super().forward, x) if self.recomputes else super().forward(x)


def normalize(
    norm: SwitchableLayerNorm | SwitchableLayerNorm2d | SwitchableNormAct2d, x: Tensor, gelu: bool
) -> Tensor | None:
    """The norm of (N, H, W, C), computed by an operator; None if there is none or it is not used."""
    compute = kernels.find('norm_act', x, norm.weight, norm.bias) if norm.uses_kernels else None
    return None if compute is None else compute(x, norm.weight, norm.bias, norm.eps, gelu)


class SwitchableMLP(Switchable, MLP):
    """An MLP that may use operators, or not keep the output of GELU for the backward pass.

    Operators compute GELU again in the backward pass. On a GPU this costs next to nothing, as it is in
    the pass of GELU's gradient; on a CPU it does, so that there an MLP must be allowed to recompute.
    Layers that are not as constructed are called as they are, and once: they may draw random numbers.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not has_original_layers(self):
            return super().forward(x)
        compute, weights = None, get_weights(self)
        if self.uses_kernels:
            compute = kernels.find('mlp', x, *weights, training=self.training)
            if compute is kernels.cpu.mlp and torch.is_grad_enabled() and not self.recomputes:
                compute = None
        if compute is not None:
            return compute(x, *weights)
        if not self.recomputes:
            return super().forward(x)
        x = recompute(self.project, self.pwconv1(x))
        return x if self.gamma is None else self.gamma * x

    def project(self, x: Tensor) -> Tensor:
        return self.pwconv2(self.act(x))


class SwitchableCEDBlock(Switchable, CEDBlock):
    """A block whose norm, MLP and residual may be one operator."""

    def forward(self, x: Tensor) -> Tensor:
        compute = None
        if self.uses_kernels:
            compute = find_second_half(self.norm, self.mlp, self.drop_path, x)
        if compute is None:
            return super().forward(x)
        return compute(self.dwconv(x), None)


class SwitchableLongRangeCEDBlock(Switchable, LongRangeCEDBlock):
    """A long-range block: norm and shortcut, and norm, MLP and residual, may be one operator each."""

    def forward(self, x: Tensor) -> Tensor:
        norm, compute, add_norm = self.norm1, None, None
        if self.uses_kernels:
            compute = find_second_half(self.norm2, self.mlp, self.drop_path, x)
        if compute is not None and is_original(norm):
            add_norm = kernels.find('norm_act', x, norm.weight, norm.bias)
        if compute is None or add_norm is None:
            return super().forward(x)
        y = to_channels_last(self.dwconv1(x))
        y = add_norm(y, norm.weight, norm.bias, norm.eps, True, to_channels_last(x))
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
    if not all(map(is_original, (norm, mlp, drop_path))) or not has_original_layers(mlp):
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


def is_original(module: nn.Module) -> bool:
    """Whether an operator may compute what a module does: no subclass, not switched off, no hooks."""
    known = type(module) in (DropPath, *SWITCHABLE.values())
    return known and getattr(module, 'uses_kernels', True) and not has_hooks(module)


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


# class of a module -> the class that it gets; modules of subclasses stay as they are
SWITCHABLE: dict[type, type] = {
    Blocks: SwitchableBlocks,
    DepthwiseConv2d: SwitchableDepthwiseConv2d,
    LayerNorm: SwitchableLayerNorm,
    LayerNorm2d: SwitchableLayerNorm2d,
    NormAct2d: SwitchableNormAct2d,
    MLP: SwitchableMLP,
    CEDBlock: SwitchableCEDBlock,
    LongRangeCEDBlock: SwitchableLongRangeCEDBlock,
}


def iter_switchable(model: nn.Module) -> Iterator[Switchable]:
    """The modules of a model that have switches, or get them now."""
    for module in model.modules():
        if type(module) in SWITCHABLE:
            module.__class__ = SWITCHABLE[type(module)]
        if isinstance(module, Switchable):
            yield module


def apply_recompute(model: nn.Module, policy: str) -> None:
    """Set what the backward pass computes again instead of keeping it, in place.

    'cheap' concerns the layers :class:`MLP` and :class:`NormAct2d`, wherever they are, 'full' the
    blocks of CEDNet; not subclasses of these. It is the same in all versions of torch.

    Args:
        model: A CEDNet, or a model with one.
        policy: As the argument ``recompute`` of :class:`CEDNet`.

    Raises:
        ValueError: ``policy`` is unknown.
    """
    check_choice('recompute', policy, RECOMPUTE)
    for module in iter_switchable(model):
        module.recomputes = policy == ('full' if isinstance(module, Blocks) else 'cheap')


def use_kernels(model: nn.Module, enabled: bool = True) -> None:
    """Let layers use the operators of :mod:`mmcednet.models.kernels` where these are faster, in place.

    These are the layers and blocks of CEDNet, wherever they are; not subclasses of these.

    Args:
        model: A CEDNet, or a model with one.
        enabled: False: compute with plain torch. Default: True.
    """
    for module in iter_switchable(model):
        module.uses_kernels = enabled


def describe_kernels(model: nn.Module) -> str:
    """The operators that the layers of a model use on its device, for a log; '' if none may use any."""
    if not any(isinstance(module, Switchable) and module.uses_kernels for module in model.modules()):
        return ''
    return kernels.describe(next(model.parameters()).device)
