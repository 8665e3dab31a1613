"""LayerNorm over channels, with GELU and shortcut if wanted, of which only the input is kept."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import reference
from ..gradients import differentiate
from . import tiles
from .gelu import compute_gelu, compute_gelu_and_slope
from .operands import to_contiguous


@triton.jit
def load_affine(weight_ptr, bias_ptr, channel, mask):
    weight = tl.load(weight_ptr + channel, mask=mask, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + channel, mask=mask, other=0.0).to(tl.float32)
    return weight[None, :], bias[None, :]


@triton.jit
def normalise(x, mask, channels: tl.constexpr, eps):
    """x (pixels, padded channels) without its mean, over its standard deviation; and 1 over that."""
    centred = tl.where(mask, x - tl.sum(x, 1)[:, None] / channels, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 1) / channels + eps)[:, None]
    return centred * scale, scale


@triton.jit(do_not_specialize=['pixels'])
def norm_act_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    shortcut_ptr,
    out_ptr,
    pixels,
    eps,
    channels: tl.constexpr,
    gelu: tl.constexpr,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """A program computes ``tile_pixels`` pixels. Grid: pixels."""
    pixel = tl.program_id(0).to(tl.int64) * tile_pixels + tl.arange(0, tile_pixels)
    channel = tl.arange(0, tile_channels)
    channel_mask = channel < channels
    mask = (pixel < pixels)[:, None] & channel_mask[None, :]
    offset = pixel[:, None] * channels + channel[None, :]
    x = tl.load(x_ptr + offset, mask=mask, other=0.0).to(tl.float32)
    y, _ = normalise(x, mask, channels, eps)
    if weight_ptr is not None:
        weight, bias = load_affine(weight_ptr, bias_ptr, channel, channel_mask)
        y = y * weight + bias
    if gelu:
        y = compute_gelu(y)
    if shortcut_ptr is not None:
        y += tl.load(shortcut_ptr + offset, mask=mask, other=0.0).to(tl.float32)
    tl.store(out_ptr + offset, y.to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=['pixels', 'programs'])
def norm_act_backward_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    grad_ptr,
    grad_x_ptr,
    weight_sums_ptr,
    bias_sums_ptr,
    pixels,
    programs,
    eps,
    channels: tl.constexpr,
    gelu: tl.constexpr,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """A program computes every ``programs``-th tile, and sums the weights' gradients over them.

    Grid: programs. Sums: (programs, C).
    """
    program = tl.program_id(0)
    channel = tl.arange(0, tile_channels)
    channel_mask = channel < channels
    if weight_ptr is not None:
        weight, bias = load_affine(weight_ptr, bias_ptr, channel, channel_mask)
        weight_sum = tl.zeros([tile_channels], tl.float32)
        bias_sum = tl.zeros([tile_channels], tl.float32)
    for part in range(program, tl.cdiv(pixels, tile_pixels), programs):
        pixel = (part * tile_pixels + tl.arange(0, tile_pixels)).to(tl.int64)
        mask = (pixel < pixels)[:, None] & channel_mask[None, :]
        offset = pixel[:, None] * channels + channel[None, :]
        x = tl.load(x_ptr + offset, mask=mask, other=0.0).to(tl.float32)
        grad = tl.load(grad_ptr + offset, mask=mask, other=0.0).to(tl.float32)
        y, scale = normalise(x, mask, channels, eps)
        if gelu:
            z = y * weight + bias if weight_ptr is not None else y
            _, slope = compute_gelu_and_slope(z)
            grad *= slope
        if weight_ptr is not None:
            weight_sum += tl.sum(grad * y, 0)
            bias_sum += tl.sum(grad, 0)
            grad *= weight
        mean = tl.sum(grad, 1)[:, None] / channels
        along = tl.sum(grad * y, 1)[:, None] / channels
        grad_x = scale * (grad - mean - y * along)
        tl.store(grad_x_ptr + offset, grad_x.to(grad_x_ptr.dtype.element_ty), mask=mask)
    if weight_ptr is not None:
        tl.store(weight_sums_ptr + program * channels + channel, weight_sum, mask=channel_mask)
        tl.store(bias_sums_ptr + program * channels + channel, bias_sum, mask=channel_mask)


def choose_tile(channels: int) -> dict[str, int]:
    padded = triton.next_power_of_2(channels)
    return dict(tile_pixels=max(1, tiles.NORM_ELEMENTS // padded), tile_channels=padded)


@torch.library.custom_op('mmcednet::norm_act', mutates_args=())
def norm_act(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    gelu: bool,
    shortcut: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """As ``reference.norm_act``, of type ``dtype``."""
    x, channels = x.contiguous(), x.shape[-1]
    weight, bias, shortcut = to_contiguous(weight, bias, shortcut)
    out = torch.empty_like(x, dtype=dtype)
    pixels, tile = x.numel() // channels, choose_tile(channels)
    with torch.cuda.device_of(x):
        norm_act_kernel[(triton.cdiv(pixels, tile['tile_pixels']),)](
            x,
            weight,
            bias,
            shortcut,
            out,
            pixels,
            eps,
            channels=channels,
            gelu=gelu,
            num_warps=tiles.NORM_WARPS,
            **tile,
        )
    return out


@norm_act.register_fake
def allocate_output(x: Tensor, *operands: Any) -> Tensor:
    return x.new_empty(x.shape, dtype=operands[-1])


@torch.library.custom_op('mmcednet::norm_act_backward', mutates_args=())
def norm_act_backward(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, grad: Tensor, eps: float, gelu: bool
) -> tuple[Tensor, Tensor]:
    """The gradients of x, and, in float32, of weight and bias, (2, C), from that of the output."""
    x, grad, channels = x.contiguous(), grad.contiguous(), x.shape[-1]
    weight, bias = to_contiguous(weight, bias)
    grad_x = torch.empty_like(x)
    pixels, tile = x.numel() // channels, choose_tile(channels)
    programs = min(tiles.NORM_PROGRAMS, triton.cdiv(pixels, tile['tile_pixels']))
    sums = x.new_empty(2, programs, channels, dtype=torch.float32)
    with torch.cuda.device_of(x):
        norm_act_backward_kernel[(programs,)](
            x,
            weight,
            bias,
            grad,
            grad_x,
            sums[0],
            sums[1],
            pixels,
            programs,
            eps,
            channels=channels,
            gelu=gelu,
            num_warps=tiles.NORM_BACKWARD_WARPS,
            **tile,
        )
    return grad_x, sums.sum(1)


@norm_act_backward.register_fake
def allocate_gradients(x: Tensor, *operands: Any) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(2, x.shape[-1], dtype=torch.float32)


def keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, ctx.eps, ctx.gelu, shortcut, _ = inputs
    ctx.save_for_backward(x, weight, bias)
    ctx.shortcut_dtype = None if shortcut is None else shortcut.dtype


def compute_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias = ctx.saved_tensors
    needed = ctx.needs_input_grad
    grad_x = grad_weight = grad_bias = grad_shortcut = None
    if needed[5]:
        grad_shortcut = grad.to(ctx.shortcut_dtype)
    if torch.is_grad_enabled():  # create_graph=True: gradients that can be differentiated
        operands = (x, weight, bias, ctx.eps, ctx.gelu)
        grads = differentiate(reference.norm_act, operands, grad, needed[:5])
        return *grads, grad_shortcut, None
    if any(needed[:3]):
        grad_x, sums = norm_act_backward(x, weight, bias, grad, ctx.eps, ctx.gelu)
        if weight is not None:
            grad_weight, grad_bias = sums.to(weight.dtype)
    return grad_x, grad_weight, grad_bias, None, None, grad_shortcut, None


norm_act.register_autograd(compute_gradients, setup_context=keep)
