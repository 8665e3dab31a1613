"""Depth-wise convolution, channels-last, with sums in float32."""

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


@triton.jit
def load_column(
    weight_ptr,
    channel,
    mask,
    dx,
    channel_stride,
    tap_stride,
    kernel: tl.constexpr,
    mirrored: tl.constexpr,
):
    """Column ``dx`` of the kernel, from its first row on; mirrored: turned by 180 degrees."""
    weights = ()
    for dy in tl.static_range(kernel):
        tap = (kernel - 1 - dy) * kernel + kernel - 1 - dx if mirrored else dy * kernel + dx
        offset = channel * channel_stride + tap * tap_stride
        weight = tl.load(weight_ptr + offset, mask=mask, other=0.0).to(tl.float32)
        weights = weights + (weight[None, :],)
    return weights


@triton.jit
def add_row(sums, x, weights, y: tl.constexpr, rows: tl.constexpr, kernel: tl.constexpr):
    """Add row ``y`` of the input, times its weight, to the sum of each output row that needs it."""
    new_sums = ()
    for row in tl.static_range(rows):
        if y >= row and y - row < kernel:
            new_sums = new_sums + (sums[row] + x * weights[y - row],)
        else:
            new_sums = new_sums + (sums[row],)
    return new_sums


@triton.jit(do_not_specialize=['height', 'width'])
def convolve_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    height,
    width,
    channels,
    channel_stride,
    tap_stride,
    kernel: tl.constexpr,
    dilation: tl.constexpr,
    mirrored: tl.constexpr,
    rows: tl.constexpr,
    tile_columns: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """A program computes ``rows`` output rows, ``dilation`` apart: each loaded pixel serves several.

    Grid: columns x channels, rows, images. Strides are those of the weights.
    """
    column_tiles = tl.cdiv(width, tile_columns)
    columns = tl.program_id(0) % column_tiles * tile_columns + tl.arange(0, tile_columns)
    channel = tl.program_id(0) // column_tiles * tile_channels + tl.arange(0, tile_channels)
    group = tl.program_id(1).to(tl.int64)  # as all offsets, of more than 2^31 elements
    first_row = group // dilation * rows * dilation + group % dilation
    image = tl.program_id(2).to(tl.int64) * height * width * channels
    channel_mask = channel < channels

    bias = tl.zeros([tile_channels], tl.float32)
    if bias_ptr is not None:
        bias = tl.load(bias_ptr + channel, mask=channel_mask, other=0.0).to(tl.float32)
    sums = ()
    for _ in tl.static_range(rows):
        sums = sums + (tl.zeros([tile_columns, tile_channels], tl.float32) + bias[None, :],)

    for dx in range(kernel):  # not unrolled: a seventh of the code to compile
        x_columns = columns + (dx - kernel // 2) * dilation
        mask = ((x_columns >= 0) & (x_columns < width))[:, None] & channel_mask[None, :]
        pixels = x_ptr + image + x_columns[:, None] * channels + channel[None, :]
        weights = load_column(
            weight_ptr, channel, channel_mask, dx, channel_stride, tap_stride, kernel, mirrored
        )
        for y in tl.static_range(rows + kernel - 1):
            row = first_row + (y - kernel // 2) * dilation
            inside = mask & (row >= 0) & (row < height)
            x = tl.load(pixels + row * width * channels, mask=inside, other=0.0).to(tl.float32)
            sums = add_row(sums, x, weights, y, rows, kernel)

    mask = (columns < width)[:, None] & channel_mask[None, :]
    pixels = out_ptr + image + columns[:, None] * channels + channel[None, :]
    for r in tl.static_range(rows):
        row = first_row + r * dilation
        out = sums[r].to(out_ptr.dtype.element_ty)
        tl.store(pixels + row * width * channels, out, mask=mask & (row < height))


@triton.jit(do_not_specialize=['images', 'height', 'width', 'programs'])
def weight_gradient_kernel(
    x_ptr,
    grad_ptr,
    weight_sums_ptr,
    bias_sums_ptr,
    images,
    height,
    width,
    channels,
    programs,
    kernel: tl.constexpr,
    dilation: tl.constexpr,
    tile_columns: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """A program sums one row of the kernel over every ``programs``-th part of the images' rows.

    Grid: rows of the kernel, channels, programs. Sums: (programs, kernel^2, C) and (programs, C).
    """
    dy = tl.program_id(0)
    channel = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    program = tl.program_id(2)
    channel_mask = (channel < channels)[None, :]
    column_tiles = tl.cdiv(width, tile_columns)
    sums = ()
    for _ in tl.static_range(kernel + 1):  # the last one is the bias's
        sums = sums + (tl.zeros([tile_columns, tile_channels], tl.float32),)

    for part in range(program, images * height * column_tiles, programs):
        row = (part // column_tiles).to(tl.int64)  # of all images
        columns = part % column_tiles * tile_columns + tl.arange(0, tile_columns)
        x_row = row % height + (dy - kernel // 2) * dilation
        mask = (columns < width)[:, None] & channel_mask
        pixels = grad_ptr + row * width * channels + columns[:, None] * channels + channel[None, :]
        grad = tl.load(pixels, mask=mask, other=0.0).to(tl.float32)
        x_start = x_ptr + (row + (dy - kernel // 2) * dilation) * width * channels
        new_sums = ()
        for dx in tl.static_range(kernel):
            x_columns = columns + (dx - kernel // 2) * dilation
            inside = (x_columns >= 0) & (x_columns < width) & (x_row >= 0) & (x_row < height)
            pixels = x_start + x_columns[:, None] * channels + channel[None, :]
            x = tl.load(pixels, mask=inside[:, None] & channel_mask, other=0.0).to(tl.float32)
            new_sums = new_sums + (sums[dx] + x * grad,)
        sums = new_sums + (sums[kernel] + grad,)

    mask = channel < channels
    start = weight_sums_ptr + (program * kernel * kernel + dy * kernel) * channels + channel
    for dx in tl.static_range(kernel):
        tl.store(start + dx * channels, tl.sum(sums[dx], 0), mask=mask)
    if dy == kernel // 2:
        tl.store(bias_sums_ptr + program * channels + channel, tl.sum(sums[kernel], 0), mask=mask)


@torch.library.custom_op('mmcednet::depthwise_conv', mutates_args=())
def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, mirrored: bool) -> Tensor:
    """As ``reference.depthwise_conv``; the result is channels-last in memory."""
    rows = x.permute(0, 2, 3, 1).contiguous()
    out = torch.empty_like(rows)
    n, height, width, channels = rows.shape
    taps = weight.reshape(channels, -1)
    if mirrored:  # copied, as without a bias loads of scattered weights would make registers spill
        taps = taps.t().contiguous().t()
    tile = tiles.CONV.get(dilation, tiles.CONV[3])  # CEDNet's own blocks have 1 and 3
    grid = (
        triton.cdiv(width, tile.columns) * triton.cdiv(channels, tile.channels),
        triton.cdiv(height, tile.rows * dilation) * dilation,
        n,
    )
    with torch.cuda.device_of(x):
        convolve_kernel[grid](
            rows,
            taps,
            None if bias is None else bias.contiguous(),
            out,
            height,
            width,
            channels,
            *taps.stride(),
            kernel=weight.shape[-1],
            dilation=dilation,
            mirrored=mirrored,
            rows=tile.rows,
            tile_columns=tile.columns,
            tile_channels=tile.channels,
            num_warps=tile.warps,
        )
    return out.permute(0, 3, 1, 2)


@register_flop_formula(torch.ops.mmcednet.depthwise_conv)
def count_flop(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(x) * weight[-1] ** 2


@convolve.register_fake
def allocate_output(x: Tensor, *operands: Any) -> Tensor:
    n, channels, height, width = x.shape
    return x.new_empty(n, height, width, channels).permute(0, 3, 1, 2)


@torch.library.custom_op('mmcednet::depthwise_conv_weight_gradient', mutates_args=())
def sum_weight_gradient(x: Tensor, grad: Tensor, kernel: int, dilation: int) -> tuple[Tensor, Tensor]:
    """The gradients of weight (C, 1, K, K) and bias (C,), in float32, from that of the output."""
    rows, grads = x.permute(0, 2, 3, 1).contiguous(), grad.permute(0, 2, 3, 1).contiguous()
    n, height, width, channels = rows.shape
    tile = tiles.CONV_WEIGHT
    channel_tiles = triton.cdiv(channels, tile.channels)
    parts = n * height * triton.cdiv(width, tile.columns)
    programs = max(1, min(tiles.CONV_WEIGHT_PROGRAMS // (channel_tiles * kernel), parts))
    weight_sums = x.new_empty(programs, kernel * kernel, channels, dtype=torch.float32)
    bias_sums = x.new_empty(programs, channels, dtype=torch.float32)
    with torch.cuda.device_of(x):
        weight_gradient_kernel[(kernel, channel_tiles, programs)](
            rows,
            grads,
            weight_sums,
            bias_sums,
            n,
            height,
            width,
            channels,
            programs,
            kernel=kernel,
            dilation=dilation,
            tile_columns=tile.columns,
            tile_channels=tile.channels,
            num_warps=tile.warps,
        )
    # contiguous, as Inductor relies on the strides that allocate_weight_gradient has
    grad_weight = weight_sums.sum(0).t().contiguous()
    return grad_weight.reshape(channels, 1, kernel, kernel), bias_sums.sum(0)


@register_flop_formula(torch.ops.mmcednet.depthwise_conv_weight_gradient)
def count_weight_gradient_flop(
    x: Sequence[int], grad: Sequence[int], kernel: int, *_: Any, **__: Any
) -> int:
    return 2 * math.prod(x) * kernel**2


@sum_weight_gradient.register_fake
def allocate_weight_gradient(
    x: Tensor, grad: Tensor, kernel: int, dilation: int
) -> tuple[Tensor, Tensor]:
    channels = x.shape[1]
    grad_weight = x.new_empty(channels, 1, kernel, kernel, dtype=torch.float32)
    return grad_weight, x.new_empty(channels, dtype=torch.float32)


def compute_weight_gradient(
    x: Tensor, weight: Tensor, grad: Tensor, dilation: int
) -> tuple[Tensor, Tensor]:
    if dilation > 1:
        return sum_weight_gradient(x, grad, weight.shape[-1], dilation)
    # cuDNN's is the fastest where nothing is dilated
    padding, channels = [weight.shape[-1] // 2] * 2, len(weight)
    _, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad.to(memory_format=torch.channels_last),
        x.to(memory_format=torch.channels_last),
        weight.to(x.dtype),
        [channels],
        [1, 1],
        padding,
        [1, 1],
        False,
        [0, 0],
        channels,
        [False, True, False],
    )
    # with the weights' strides, which DDP's buckets have, too
    grad_weight = grad_weight.flatten(1).view(weight.shape)
    return grad_weight, grad.sum((0, 2, 3), dtype=torch.float32)


def keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, ctx.dilation, _ = inputs
    ctx.save_for_backward(x, weight, bias)


def compute_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias = ctx.saved_tensors
    if torch.is_grad_enabled():  # create_graph=True: gradients that can be differentiated
        grads = differentiate(
            reference.depthwise_conv, (x, weight, bias, ctx.dilation), grad, ctx.needs_input_grad[:4]
        )
        return *grads, None
    grad_x = grad_weight = grad_bias = None
    if ctx.needs_input_grad[0]:
        grad_x = convolve(grad, weight, None, ctx.dilation, True)
    if any(ctx.needs_input_grad[1:3]):
        grad_weight, grad_bias = compute_weight_gradient(x, weight, grad, ctx.dilation)
        grad_weight = grad_weight.to(weight.dtype)
        grad_bias = None if bias is None else grad_bias.to(bias.dtype)
    return grad_x, grad_weight, grad_bias, None, None


convolve.register_autograd(compute_gradients, setup_context=keep)
