"""What CEDNet, its head and the other networks share: checks, initial weights, outputs for heads."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn


def check_choice(name: str, value: object, known: Iterable[str]) -> str:
    """``value`` if it is one of ``known``; otherwise raise a ValueError that lists them."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f'{name} {value!r} is unknown; choose one of: {", ".join(known)}')
    return value


def are_integers(values: object, length: int, minimum: int = 0) -> bool:
    """Whether ``values`` is a sequence of ``length`` integers, each at least ``minimum``."""
    return (
        isinstance(values, Sequence)
        and len(values) == length
        and all(type(value) is int and value >= minimum for value in values)
    )


def init_layer(module: nn.Module) -> None:
    """Initialise convolutions and linear layers: weights normal with std 1/sqrt(fan_out), biases 0."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='linear')
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_truncated(
    module: nn.Module, kinds: tuple[type[nn.Conv2d] | type[nn.Linear], ...] = (nn.Linear,)
) -> None:
    """Initialise layers, by default linear ones: weights truncated normal with std 0.02, biases 0."""
    if isinstance(module, kinds):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def unify_levels(outs: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Features (N, C, H, W) of several levels as heads need them: of one dtype, and contiguous."""
    outs = tuple(outs)
    # On a GPU, autocast computes norms in float32 and convolutions in low precision. The levels get
    # one type, as mmdet converts all RoIs to that of the first.
    if any(out.dtype != outs[0].dtype for out in outs):
        outs = tuple(out.float() for out in outs)
    # mmcv's RoIAlign misreads tensors that are not contiguous, such as channels-last views.
    return tuple(out.contiguous() for out in outs)
