"""Columns of levels, and a backward pass for them that keeps little in memory.

RevCol, section 2.2. With the features p of the column before, level l of a column computes
c_l = f_l(below, above) + scale_l * p_l, where below is c_{l-1}, at the finest level the columns' common
input, and above is p_{l+1}. From c, the coarsest level first, follows p_l = (c_l - f_l) / scale_l.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import get_device_states, set_device_states

from mmcednet.models.kernels.autocast import get_autocast_dtype

MIN_SCALE = 1e-3  # a division by less would amplify rounding errors too much


class Level(nn.Module):
    """A level of a column: f, which subclasses compute, and the scale of the shortcut.

    Args:
        channels: C.
        shortcut: Initial value of ``gamma``, the scale of each channel; None in the first column, whose
            levels are f alone.
    """

    def __init__(self, channels: int, shortcut: float | None) -> None:
        super().__init__()
        self.gamma = None if shortcut is None else nn.Parameter(torch.full((channels,), shortcut))

    @abstractmethod
    def forward(self, below: Tensor, above: Tensor | None) -> Tensor:
        """Compute f.

        Args:
            below: Features of the next finer level of this column, or the columns' input.
            above: Features of the next coarser level of the column before; None if there are none.

        Returns:
            (N, C, H, W).
        """

    def compute_scale(self) -> Tensor:
        """``gamma`` as (C, 1, 1), but not closer to 0 than ``MIN_SCALE``; its gradient is gamma's."""
        assert self.gamma is not None
        limit = torch.full_like(self.gamma, MIN_SCALE).copysign(self.gamma)
        scale = torch.where(self.gamma.abs() < MIN_SCALE, limit, self.gamma)
        return (self.gamma + (scale - self.gamma).detach())[:, None, None]


def compute_columns(
    columns: Iterable[Any],
    x: Tensor,
    features: Sequence[Tensor] = (),
    prepare: Callable[[], None] | None = None,
) -> tuple[Tensor, ...]:
    """Compute the features of the last column.

    Args:
        columns: The levels of each column, finest first.
        x: Input of the finest level of each column.
        features: Those of the column before the first of ``columns``, finest first. Default: ().
        prepare: Called before each level. Default: None.

    Returns:
        (N, C, H, W) for each of its levels, finest first.
    """
    for column in columns:
        previous, features = features, []
        for i, level in enumerate(column):
            if prepare is not None:
                prepare()
            below = features[-1] if features else x
            out = level(below, previous[i + 1] if i + 1 < len(previous) else None)
            features.append(out + level.compute_scale() * previous[i] if previous else out)
    return tuple(features)


def compute_columns_reversibly(
    columns: nn.ModuleList, x: Tensor, keep_every: int
) -> tuple[Tensor, ...]:
    """:func:`compute_columns`, whose backward pass computes again what is in the columns.

    Until then it keeps ``x`` and the features of every ``keep_every``-th column, and computes those of
    the others from them. It draws the same random numbers, and has the same autocast, as the forward
    pass.
    """
    features: tuple[Tensor, ...] = ()
    for start in range(0, len(columns), keep_every):
        group = columns[start : start + keep_every]
        features = ReversibleColumns.apply(group, x, len(features), *features, *group.parameters())
    return features


class ReversibleColumns(torch.autograd.Function):
    """A group of columns for :func:`compute_columns_reversibly`.

    The parameters are inputs, so that their gradients arrive as those of other operators do: with all
    hooks, of DistributedDataParallel for instance.

    Raises:
        RuntimeError: A derivative of its gradients would be needed (``create_graph=True``).
    """

    @staticmethod
    def forward(ctx: Any, columns: Any, x: Tensor, levels: int, *inputs: Tensor) -> tuple[Tensor, ...]:
        previous = inputs[:levels]  # then the parameters
        ctx.columns = columns
        ctx.levels = levels
        ctx.dtype = get_autocast_dtype(x.device.type)
        ctx.states = []
        with use_autocast(x.device.type, ctx.dtype):
            features = compute_columns(columns, x, previous, lambda: ctx.states.append(RandomState(x)))
        ctx.save_for_backward(x, *previous, *features)
        return features

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                'a reversible network has no second derivatives (create_graph=True); build it with '
                'reversible=False'
            )
        x, *saved = ctx.saved_tensors
        first, *others = ctx.columns
        reversal = Reversal(x, saved[ctx.levels :], grads, ctx.states)
        with use_autocast(x.device.type, ctx.dtype):
            for column in reversed(others):
                reversal.undo(column)
            reversal.undo(first, saved[: ctx.levels])
        param_grads = (reversal.param_grads.get(param) for param in ctx.columns.parameters())
        return None, reversal.x_grad, None, *reversal.grads, *param_grads


class Reversal:
    """The way back through a group of columns.

    Args:
        x: Input of the columns.
        features: Features of the last column, finest first.
        grads: Their gradients.
        states: States of the random number generators before each level, in the forward pass's order.

    Attributes:
        features, grads: Those of the column that :meth:`undo` is to be called with; in the end, of the
            column before the group.
        x_grad, param_grads: Gradients of x and of the parameters.
    """

    def __init__(
        self,
        x: Tensor,
        features: Sequence[Tensor],
        grads: Sequence[Tensor],
        states: Sequence['RandomState'],
    ) -> None:
        self.x = x
        self.features, self.grads = list(features), list(grads)
        self.states = list(states)
        self.x_grad = torch.zeros_like(x)
        self.param_grads: dict[nn.Parameter, Tensor] = {}

    def undo(self, column: Sequence[Level], kept: Sequence[Tensor] = ()) -> None:
        """Go back over a column.

        Args:
            column: Its levels, finest first.
            kept: Features of the column before it. Default: (), they are computed.
        """
        previous = dict(enumerate(kept))
        grads: dict[int, Tensor] = {}  # of the previous features
        for i, level in reversed(list(enumerate(column))):
            below = self.features[i - 1] if i else self.x
            grad = self.grads[i]
            out, below_grad, above_grad = self._differentiate(level, below, previous.get(i + 1), grad)
            if above_grad is not None:
                grads[i + 1] = grads[i + 1] + above_grad
            if i:
                self.grads[i - 1] = self.grads[i - 1] + below_grad
            else:
                self.x_grad += below_grad
            if level.gamma is not None:
                scale = level.compute_scale()
                if not kept:
                    previous[i] = (self.features[i] - out) / scale
                self.param_grads[level.gamma] = (grad * previous[i]).sum((0, 2, 3))
                grads[i] = grad * scale
        self.features = [previous[i] for i in sorted(previous)]
        self.grads = [grads[i] for i in sorted(grads)]

    def _differentiate(
        self, level: Level, below: Tensor, above: Tensor | None, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute f of a level, and from its gradient ``grad`` those of ``below`` and ``above``."""
        below = below.detach().requires_grad_()
        above = None if above is None else above.detach().requires_grad_()
        params = {
            name: param
            for name, param in level.named_parameters()
            if param.requires_grad and param is not level.gamma
        }
        # copies, as hooks of the parameters are to see the function's gradients, and not these too
        copies = {name: param.detach().requires_grad_() for name, param in params.items()}
        with self.states.pop().restore(), torch.enable_grad():
            out = functional_call(level, copies, (below, above))
        inputs = [below] if above is None else [below, above]
        below_grad, *found = torch.autograd.grad(out, [*inputs, *copies.values()], grad.to(out.dtype))
        above_grad = None if above is None else found.pop(0)
        self.param_grads.update(zip(params.values(), found))
        return out.detach(), below_grad, above_grad


class RandomState:
    """The current state of the random number generators of the CPU and of ``x``'s device."""

    def __init__(self, x: Tensor) -> None:
        self.cpu = torch.get_rng_state()
        self.devices, self.device_states = get_device_states(x)
        self.device_type = x.device.type if self.devices else 'cuda'

    @contextmanager
    def restore(self) -> Iterator[None]:
        """Draw random numbers from this state on; the generators continue from their own afterwards."""
        with torch.random.fork_rng(self.devices, device_type=self.device_type):
            torch.set_rng_state(self.cpu)
            set_device_states(self.devices, self.device_states)
            yield


def use_autocast(device_type: str, dtype: torch.dtype | None) -> torch.autocast:
    """Autocast to ``dtype``, or none.

    Weights are not kept in its cache: those cast in the forward pass have no history, and would be
    without a gradient where the same autocast is still on.
    """
    return torch.autocast(device_type, dtype, enabled=dtype is not None, cache_enabled=False)
