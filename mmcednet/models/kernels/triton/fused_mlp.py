"""The MLP in one kernel, for inference: the hidden activations are never in memory.

It starts with what precedes the MLP of a block, a LayerNorm with GELU and shortcut, and ends with layer
scale and residual.
"""

import functools
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from . import tiles
from .gelu import compute_gelu
from .norm import load_affine
from .operands import to_contiguous

# Triton's interpreter takes the bits of bfloat16 for integers in products; it multiplies in float32
INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'
SMALLEST_PRODUCT = 16  # rows and columns of a matrix product


@triton.jit
def list_channels(first: tl.constexpr, second: tl.constexpr):
    """The channels of each part; there is no second part if it has none."""
    channel = (tl.arange(0, first),)
    if second > 0:
        channel = channel + (first + tl.arange(0, second),)
    return channel


@triton.jit
def load_part(ptr, pixel, mask, channel, channels: tl.constexpr):
    offset = pixel[:, None] * channels + channel[None, :]
    return tl.load(ptr + offset, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def normalise_parts(parts, number: tl.constexpr, channels: tl.constexpr, eps):
    """Each part without the mean of all, over the standard deviation of all."""
    total = tl.sum(parts[0], 1)
    for i in tl.static_range(1, number):
        total += tl.sum(parts[i], 1)
    centred = ()
    squares = tl.zeros_like(total)
    for i in tl.static_range(number):
        part = parts[i] - (total / channels)[:, None]
        squares += tl.sum(part * part, 1)
        centred = centred + (part,)
    scale = tl.rsqrt(squares / channels + eps)[:, None]
    normalised = ()
    for i in tl.static_range(number):
        normalised = normalised + (centred[i] * scale,)
    return normalised


@triton.jit
def load_input(
    x_ptr,
    weight_ptr,
    bias_ptr,
    shortcut_ptr,
    pixel,
    mask,
    channel,
    number: tl.constexpr,
    channels: tl.constexpr,
    eps,
    norm: tl.constexpr,
    gelu: tl.constexpr,
):
    """What goes into the first linear layer, for each part: x; or its norm, GELU and shortcut."""
    parts = ()
    for i in tl.static_range(number):
        parts = parts + (load_part(x_ptr, pixel, mask, channel[i], channels),)
    if norm:
        normalised = normalise_parts(parts, number, channels, eps)
        parts = ()
        for i in tl.static_range(number):
            part = normalised[i]
            if weight_ptr is not None:
                weight, bias = load_affine(weight_ptr, bias_ptr, channel[i], channel[i] < channels)
                part = part * weight + bias
            if gelu:
                part = compute_gelu(part)
            if shortcut_ptr is not None:
                part += load_part(shortcut_ptr, pixel, mask, channel[i], channels)
            parts = parts + (part,)
    return parts


@triton.jit
def store_part(y, bias_ptr, gamma_ptr, residual_ptr, out_ptr, pixel, mask, channel, channels):
    y += tl.load(bias_ptr + channel).to(tl.float32)[None, :]
    if gamma_ptr is not None:
        y *= tl.load(gamma_ptr + channel).to(tl.float32)[None, :]
    if residual_ptr is not None:
        y += load_part(residual_ptr, pixel, mask, channel, channels)
    offset = pixel[:, None] * channels + channel[None, :]
    tl.store(out_ptr + offset, y.to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=['pixels'])
def fused_mlp_kernel(
    x_ptr,
    norm_weight_ptr,
    norm_bias_ptr,
    shortcut_ptr,
    weight1_ptr,
    bias1_ptr,
    weight2_ptr,
    bias2_ptr,
    gamma_ptr,
    residual_ptr,
    out_ptr,
    pixels,
    eps,
    channels: tl.constexpr,
    first: tl.constexpr,
    second: tl.constexpr,
    hidden: tl.constexpr,
    norm: tl.constexpr,
    gelu: tl.constexpr,
    float32_products: tl.constexpr,
    tile_pixels: tl.constexpr,
    tile_hidden: tl.constexpr,
):
    """A program computes ``tile_pixels`` pixels, ``tile_hidden`` hidden channels at a time.

    Grid: pixels. The channels are computed in one or two parts, ``first`` and ``second``, as the sizes
    of Triton's tiles are powers of two.
    """
    pixel = tl.program_id(0).to(tl.int64) * tile_pixels + tl.arange(0, tile_pixels)
    mask = (pixel < pixels)[:, None]
    stored: tl.constexpr = weight1_ptr.dtype.element_ty
    factor: tl.constexpr = tl.float32 if float32_products else stored
    number: tl.constexpr = 2 if second > 0 else 1
    channel = list_channels(first, second)

    parts = load_input(
        x_ptr,
        norm_weight_ptr,
        norm_bias_ptr,
        shortcut_ptr,
        pixel,
        mask,
        channel,
        number,
        channels,
        eps,
        norm,
        gelu,
    )
    x, out = (), ()
    for i in tl.static_range(number):
        x = x + (parts[i].to(stored).to(factor),)
        out = out + (tl.zeros_like(parts[i]),)

    for start in range(0, hidden, tile_hidden):
        unit = start + tl.arange(0, tile_hidden)
        h = tl.zeros([tile_pixels, tile_hidden], tl.float32)
        for i in tl.static_range(number):
            weight = tl.load(weight1_ptr + unit[None, :] * channels + channel[i][:, None])
            h = tl.dot(x[i], weight.to(factor), h)
        h = compute_gelu(h + tl.load(bias1_ptr + unit).to(tl.float32)[None, :])
        h = h.to(stored).to(factor)
        new_out = ()
        for i in tl.static_range(number):
            weight = tl.load(weight2_ptr + unit[:, None] + channel[i][None, :] * hidden)
            new_out = new_out + (tl.dot(h, weight.to(factor), out[i]),)
        out = new_out

    for i in tl.static_range(number):
        y = out[i]
        store_part(y, bias2_ptr, gamma_ptr, residual_ptr, out_ptr, pixel, mask, channel[i], channels)


def can_fuse(channels: int, hidden: int) -> bool:
    """Whether there is a kernel: at most 256 channels, a sum of two powers of two, and whole tiles."""
    first, second = split_channels(channels)
    is_power = second & (second - 1) == 0
    is_large = first >= SMALLEST_PRODUCT and (second >= SMALLEST_PRODUCT or second == 0)
    is_whole = hidden % tiles.FUSED_HIDDEN == 0
    return channels <= tiles.FUSED_CHANNELS and is_power and is_large and is_whole


def split_channels(channels: int) -> tuple[int, int]:
    """The largest power of two in a number of channels, and the rest."""
    first = 1 << channels.bit_length() - 1
    return first, channels - first


@functools.cache
def get_shared_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program may use; in the interpreter, there is no bound."""
    if device.type == 'cpu':
        return sys.maxsize
    properties: Any = torch.cuda.get_device_properties(device)
    return properties.shared_memory_per_block_optin


@torch.library.custom_op('mmcednet::fused_mlp', mutates_args=())
def compute_fused_mlp(
    x: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    eps: float,
    norm: bool,
    gelu: bool,
    shortcut: Tensor | None,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
    residual: Tensor | None,
) -> Tensor:
    """As ``reference.norm_mlp``, of the type of weight1 and weight2, float16 or bfloat16.

    Without ``norm``, x goes into the first linear layer. ``can_fuse`` says which C are possible.
    """
    x, channels, hidden = x.contiguous(), x.shape[-1], len(bias1)
    norm_weight, norm_bias, shortcut = to_contiguous(norm_weight, norm_bias, shortcut)
    out = torch.empty_like(x, dtype=weight1.dtype)
    pixels, tile = x.numel() // channels, tiles.choose_mlp_tile(channels, get_shared_memory(x.device))
    first, second = split_channels(channels)
    with torch.cuda.device_of(x):
        fused_mlp_kernel[(triton.cdiv(pixels, tile.pixels),)](
            x,
            norm_weight,
            norm_bias,
            shortcut,
            *to_contiguous(weight1, bias1, weight2, bias2, gamma, residual),
            out,
            pixels,
            eps,
            channels=channels,
            first=first,
            second=second,
            hidden=hidden,
            norm=norm,
            gelu=gelu,
            float32_products=INTERPRETED,
            tile_pixels=tile.pixels,
            tile_hidden=tile.hidden,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return out


@register_flop_formula(torch.ops.mmcednet.fused_mlp)
def count_flop(x: Sequence[int], *operands: Any, **_: Any) -> int:
    weight1 = operands[6]
    return 4 * math.prod(x) * weight1[0]


@compute_fused_mlp.register_fake
def allocate_output(x: Tensor, *operands: Any) -> Tensor:
    weight1 = operands[6]
    return x.new_empty(x.shape, dtype=weight1.dtype)
