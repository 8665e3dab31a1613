"""Sizes of the parts of the features that a program of a Triton kernel computes, in one table.

They change the speed only. Those of the convolution and of MLP_LARGE were the best of a few on an H100;
the others have not been measured.
"""

from typing import NamedTuple


class ConvTile(NamedTuple):
    """Of the depth-wise convolution: an output of rows x columns x channels."""

    rows: int
    columns: int
    channels: int
    warps: int


class MLPTile(NamedTuple):
    """Of the MLP in one kernel: pixels, and the hidden channels that it computes at a time."""

    pixels: int
    hidden: int
    warps: int
    stages: int


# dilation -> tile; a dilated convolution of 32 columns needs more registers than there are
CONV = {
    1: ConvTile(rows=4, columns=32, channels=32, warps=4),
    3: ConvTile(rows=4, columns=16, channels=32, warps=4),
}
CONV_WEIGHT = ConvTile(rows=1, columns=16, channels=64, warps=4)
CONV_WEIGHT_PROGRAMS = 1024  # of which each sums a part of the images
NORM_ELEMENTS = 4096  # pixels x channels, the channels padded to a power of two
NORM_WARPS = 4
NORM_BACKWARD_WARPS = 8
NORM_PROGRAMS = (
    528  # of the backward pass, each of which sums gradients of weights: 4 for each SM of an H100
)
ROWS = 32  # of a part of (pixels, channels), for GELU and the residual
COLUMNS = 128
GELU_WARPS = 4
GELU_BACKWARD_WARPS = 8
RESIDUAL_WARPS = 8
GELU_PROGRAMS = 2048  # of the backward pass
FUSED_CHANNELS = 256  # at most, for an MLP in one kernel

# channels, at most -> tile; those of more stages and pixels need the shared memory of an H100
LARGE_SHARED_MEMORY = 200_000  # bytes
MLP_LARGE = {
    96: MLPTile(pixels=128, hidden=32, warps=8, stages=3),
    192: MLPTile(pixels=128, hidden=64, warps=8, stages=3),
    256: MLPTile(pixels=64, hidden=32, warps=8, stages=2),
}
MLP_SMALL = {
    96: MLPTile(pixels=128, hidden=32, warps=8, stages=2),
    256: MLPTile(pixels=64, hidden=32, warps=8, stages=2),
}


def choose_mlp_tile(channels: int, shared_memory: int) -> MLPTile:
    """The tile of the MLP in one kernel.

    Args:
        channels: At most ``FUSED_CHANNELS``.
        shared_memory: Bytes that a program may use.
    """
    table = MLP_LARGE if shared_memory >= LARGE_SHARED_MEMORY else MLP_SMALL
    return next(tile for limit, tile in table.items() if channels <= limit)
