"""The MLP with two matrix products of cuBLAS, for training and for wide features.

Bias and GELU, and their gradients, are computed in one pass over the hidden activations; layer scale,
stochastic depth and the residual in one over the output. Only the input and the hidden activations
before the bias are kept.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from .. import reference
from ..gradients import differentiate
from . import tiles
from .gelu import compute_gelu, compute_gelu_and_slope
from .norm import choose_tile
from .operands import to_contiguous

FLOAT16_SCALE = 2.0**-8  # of GELU's output, for the gradient of the second weights


@triton.jit(do_not_specialize=['pixels'])
def gelu_kernel(
    hidden_ptr,
    bias_ptr,
    out_ptr,
    pixels,
    channels,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """GELU(hidden + bias). Grid: pixels, channels."""
    pixel = tl.program_id(0).to(tl.int64) * tile_pixels + tl.arange(0, tile_pixels)
    channel = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    channel_mask = channel < channels
    mask = (pixel < pixels)[:, None] & channel_mask[None, :]
    offset = pixel[:, None] * channels + channel[None, :]
    bias = tl.load(bias_ptr + channel, mask=channel_mask, other=0.0).to(tl.float32)
    x = tl.load(hidden_ptr + offset, mask=mask, other=0.0).to(tl.float32) + bias[None, :]
    tl.store(out_ptr + offset, compute_gelu(x).to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=['pixels', 'image_pixels', 'programs'])
def gelu_backward_kernel(
    hidden_ptr,
    bias_ptr,
    factors_ptr,
    peak_ptr,
    grad_ptr,
    activated_ptr,
    bias_sums_ptr,
    pixels,
    image_pixels,
    programs,
    channels,
    scale,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """factor * scale * GELU(hidden + bias), and the gradient of hidden, as ``differentiate_gelu``.

    A program computes every ``programs``-th tile of some channels, and sums the gradient of bias over
    them. Grid: programs, channels. Sums: (programs, channels).
    """
    program = tl.program_id(0)
    channel = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    channel_mask = channel < channels
    bias = tl.load(bias_ptr + channel, mask=channel_mask, other=0.0).to(tl.float32)
    peak = 1.0
    if peak_ptr is not None:
        peak = tl.load(peak_ptr).to(tl.float32)
    bias_sum = tl.zeros([tile_channels], tl.float32)
    for part in range(program, tl.cdiv(pixels, tile_pixels), programs):
        pixel = (part * tile_pixels + tl.arange(0, tile_pixels)).to(tl.int64)
        mask = (pixel < pixels)[:, None] & channel_mask[None, :]
        offset = pixel[:, None] * channels + channel[None, :]
        x = tl.load(hidden_ptr + offset, mask=mask, other=0.0).to(tl.float32) + bias[None, :]
        grad = tl.load(grad_ptr + offset, mask=mask, other=0.0).to(tl.float32) * peak
        activated, slope = compute_gelu_and_slope(x)
        activated *= scale
        grad *= slope
        if factors_ptr is not None:
            image = pixel // image_pixels
            factor = tl.load(factors_ptr + image, mask=pixel < pixels, other=0.0)[:, None]
            activated *= factor
            grad *= factor
        bias_sum += tl.sum(grad, 0)
        tl.store(activated_ptr + offset, activated.to(activated_ptr.dtype.element_ty), mask=mask)
        tl.store(grad_ptr + offset, grad.to(grad_ptr.dtype.element_ty), mask=mask)
    tl.store(bias_sums_ptr + program * channels + channel, bias_sum, mask=channel_mask)


@triton.jit(do_not_specialize=['pixels', 'image_pixels'])
def residual_kernel(
    x_ptr,
    bias_ptr,
    gamma_ptr,
    factors_ptr,
    residual_ptr,
    out_ptr,
    pixels,
    image_pixels,
    channels: tl.constexpr,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """residual + factor * gamma * (x + bias). Grid: pixels."""
    pixel = tl.program_id(0).to(tl.int64) * tile_pixels + tl.arange(0, tile_pixels)
    channel = tl.arange(0, tile_channels)
    channel_mask = channel < channels
    mask = (pixel < pixels)[:, None] & channel_mask[None, :]
    offset = pixel[:, None] * channels + channel[None, :]
    y = tl.load(x_ptr + offset, mask=mask, other=0.0).to(tl.float32)
    y += tl.load(bias_ptr + channel, mask=channel_mask, other=0.0).to(tl.float32)[None, :]
    if gamma_ptr is not None:
        y *= tl.load(gamma_ptr + channel, mask=channel_mask, other=0.0).to(tl.float32)[None, :]
    if factors_ptr is not None:
        y *= tl.load(factors_ptr + pixel // image_pixels, mask=pixel < pixels, other=0.0)[:, None]
    if residual_ptr is not None:
        y += tl.load(residual_ptr + offset, mask=mask, other=0.0).to(tl.float32)
    tl.store(out_ptr + offset, y.to(out_ptr.dtype.element_ty), mask=mask)


def apply_gelu(hidden: Tensor, bias: Tensor, out: Tensor) -> None:
    """Write GELU(hidden + bias), (pixels, D), into ``out``, which may be ``hidden``."""
    pixels, channels = hidden.shape
    gelu_kernel[(triton.cdiv(pixels, tiles.ROWS), triton.cdiv(channels, tiles.COLUMNS))](
        hidden,
        bias.contiguous(),
        out,
        pixels,
        channels,
        tile_pixels=tiles.ROWS,
        tile_channels=tiles.COLUMNS,
        num_warps=tiles.GELU_WARPS,
    )


def count_image_pixels(pixels: int, factors: Tensor | None) -> int:
    """Pixels of an image, each of which has a factor; 1 if there are no factors or no images."""
    return 1 if factors is None else pixels // max(1, len(factors))


def add_residual(
    x: Tensor, bias: Tensor, gamma: Tensor | None, residual: Tensor | None, factors: Tensor | None
) -> Tensor:
    """residual + factors * gamma * (x + bias), for x of shape (pixels, C), written over it."""
    pixels, channels = x.shape
    tile = choose_tile(channels)
    residual_kernel[(triton.cdiv(pixels, tile['tile_pixels']),)](
        x,
        *to_contiguous(bias, gamma, factors, residual),
        x,
        pixels,
        count_image_pixels(pixels, factors),
        channels=channels,
        num_warps=tiles.RESIDUAL_WARPS,
        **tile,
    )
    return x


@torch.library.custom_op('mmcednet::mlp', mutates_args=())
def mlp(
    x: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
    residual: Tensor | None,
    factors: Tensor | None,
    dtype: torch.dtype,
    keep_hidden: bool,
) -> tuple[Tensor, Tensor]:
    """As ``reference.residual_mlp``, of type ``dtype``, and the hidden activations before the bias.

    These are (pixels, D), empty unless they are to be kept. Residual and factors may be None.
    """
    with torch.cuda.device_of(x):
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        hidden = rows @ weight1.to(dtype).t()
        activated = torch.empty_like(hidden) if keep_hidden else hidden
        apply_gelu(hidden, bias1, activated)
        out = add_residual(activated @ weight2.to(dtype).t(), bias2, gamma, residual, factors)
    return out.view(x.shape), hidden if keep_hidden else hidden.new_empty(0)


@register_flop_formula(torch.ops.mmcednet.mlp)
def count_flop(x: Sequence[int], weight1: Sequence[int], *_: Any, **__: Any) -> int:
    """Of both products; the gradients' are operators of torch."""
    return 4 * math.prod(x) * weight1[0]


@mlp.register_fake
def allocate_output(x: Tensor, weight1: Tensor, *operands: Any) -> tuple[Tensor, Tensor]:
    dtype, keep_hidden = operands[-2:]
    hidden = (x.numel() // x.shape[-1], len(weight1)) if keep_hidden else (0,)
    return x.new_empty(x.shape, dtype=dtype), x.new_empty(hidden, dtype=dtype)


@torch.library.custom_op('mmcednet::gelu_backward', mutates_args=('grad',))
def differentiate_gelu(
    hidden: Tensor,
    bias: Tensor,
    factors: Tensor | None,
    peak: Tensor | None,
    scale: float,
    grad: Tensor,
) -> tuple[Tensor, Tensor]:
    """GELU(hidden + bias) times scale and factors, and the gradient of bias in float32, (D,).

    ``grad`` is that of GELU's output, over factor and ``peak``; that of ``hidden`` is written over it.
    """
    pixels, channels = hidden.shape
    activated = torch.empty_like(hidden)
    column_tiles = triton.cdiv(channels, tiles.COLUMNS)
    programs = min(max(1, tiles.GELU_PROGRAMS // column_tiles), triton.cdiv(pixels, tiles.ROWS))
    sums = hidden.new_empty(programs, channels, dtype=torch.float32)
    with torch.cuda.device_of(hidden):
        gelu_backward_kernel[(programs, column_tiles)](
            hidden,
            *to_contiguous(bias, factors),
            peak,
            grad,
            activated,
            sums,
            pixels,
            count_image_pixels(pixels, factors),
            programs,
            channels,
            scale,
            tile_pixels=tiles.ROWS,
            tile_channels=tiles.COLUMNS,
            num_warps=tiles.GELU_BACKWARD_WARPS,
        )
    return activated, sums.sum(0)


@differentiate_gelu.register_fake
def allocate_activated(hidden: Tensor, bias: Tensor, *operands: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(hidden), hidden.new_empty(len(bias), dtype=torch.float32)


def keep(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    *operands, residual, factors, _, keep_hidden = inputs
    assert keep_hidden
    ctx.set_materialize_grads(False)  # the hidden activations' would be zeros
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*operands, output[1], factors)
    ctx.residual_dtype = None if residual is None else residual.dtype


def compute_gradients(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
    *operands, hidden, factors = ctx.saved_tensors
    needed = ctx.needs_input_grad
    grad_residual = grad.to(ctx.residual_dtype) if needed[6] else None
    if torch.is_grad_enabled():  # create_graph=True: gradients that can be differentiated
        scaled = grad if factors is None else grad * factors.view(-1, *(1,) * (grad.ndim - 1))
        grads = differentiate(reference.mlp, operands, scaled, needed[:6])
    else:
        grads = differentiate_mlp(operands, hidden, factors, grad)
    return *grads, grad_residual, None, None, None


def differentiate_mlp(
    operands: Sequence[Any], hidden: Tensor, factors: Tensor | None, grad: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients of the operands of ``reference.mlp``."""
    x, weight1, bias1, weight2, bias2, gamma = operands
    dtype, channels = hidden.dtype, x.shape[-1]
    rows, grads = x.reshape(-1, channels).to(dtype), grad.reshape(-1, channels)
    peak, scaled_weight = None, weight2
    if gamma is not None:
        # float16 would lose weights times a layer scale of 1e-6
        wide = gamma.float()
        peak = torch.linalg.vector_norm(wide, float('inf')).clamp(min=1e-30)
        scaled_weight = (wide / peak)[:, None] * weight2
    grad_hidden = grads @ scaled_weight.to(dtype)
    # a sum over all pixels before the layer scale, for which float16 has too small a range
    scale = FLOAT16_SCALE if dtype == torch.float16 else 1.0
    activated, grad_bias1 = differentiate_gelu(hidden, bias1, factors, peak, scale, grad_hidden)
    grad_weight2 = (grads.t() @ activated).float()
    if scale != 1.0:
        grad_weight2 = grad_weight2 / scale
    grad_weight1 = (grad_hidden.t() @ rows).to(weight1.dtype)
    grad_x = (grad_hidden @ weight1.to(dtype)).to(x.dtype).view(x.shape)
    grad_bias2 = sum_pixels(grads, factors)
    grad_gamma = None
    if gamma is not None:
        grad_gamma = ((grad_weight2 * weight2).sum(1) + grad_bias2 * bias2).to(gamma.dtype)
        grad_weight2, grad_bias2 = gamma[:, None] * grad_weight2, gamma * grad_bias2
    grad_biases = grad_bias1.to(bias1.dtype), grad_bias2.to(bias2.dtype)
    grad_weight2 = grad_weight2.to(weight2.dtype)
    return grad_x, grad_weight1, grad_biases[0], grad_weight2, grad_biases[1], grad_gamma


def sum_pixels(grads: Tensor, factors: Tensor | None) -> Tensor:
    """The sum of (pixels, C), times the images' factors, in float32: (C,)."""
    if factors is None:
        return grads.sum(0, dtype=torch.float32)
    images = grads.view(len(factors), count_image_pixels(len(grads), factors), grads.shape[-1])
    return (factors.float()[:, None] * images.sum(1, dtype=torch.float32)).sum(0)


mlp.register_autograd(compute_gradients, setup_context=keep)
