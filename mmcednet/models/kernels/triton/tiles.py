"""Sizes of the parts of the features that a program of a Triton kernel computes, from tiles.json.

They change the speed only; benchmarks/operators.py measures them and writes the file. Those of the
convolution without dilation and of MLP_LARGE were chosen with prototypes on an H100; the operators
themselves have not been run on a GPU.
"""

import json
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name('tiles.json')
TABLE = json.loads(FILE.read_text(encoding='utf-8'))


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
CONV = {int(dilation): ConvTile(**tile) for dilation, tile in TABLE['CONV'].items()}
CONV_WEIGHT = ConvTile(**TABLE['CONV_WEIGHT'])
CONV_WEIGHT_PROGRAMS = 1024  # of which each sums a part of the images
NORM_ELEMENTS = TABLE['NORM_ELEMENTS']  # pixels x channels, the channels padded to a power of two
NORM_WARPS = TABLE['NORM_WARPS']
NORM_BACKWARD_WARPS = TABLE['NORM_BACKWARD_WARPS']
NORM_PROGRAMS = 528  # of the backward pass, which sum gradients of weights: 4 for each SM of an H100
ROWS = TABLE['ROWS']  # of a part of (pixels, channels), for GELU and the residual
COLUMNS = TABLE['COLUMNS']
GELU_WARPS = TABLE['GELU_WARPS']
GELU_BACKWARD_WARPS = TABLE['GELU_BACKWARD_WARPS']
RESIDUAL_WARPS = TABLE['RESIDUAL_WARPS']
GELU_PROGRAMS = 2048  # of the backward pass
FUSED_CHANNELS = 256  # at most, for an MLP in one kernel
FUSED_HIDDEN = 64  # of which its hidden channels are a multiple; those of its tiles are divisors

# channels, at most -> tile; those of more stages and pixels need the shared memory of an H100
LARGE_SHARED_MEMORY = 200_000  # bytes
MLP_LARGE = {int(channels): MLPTile(**tile) for channels, tile in TABLE['MLP_LARGE'].items()}
MLP_SMALL = {int(channels): MLPTile(**tile) for channels, tile in TABLE['MLP_SMALL'].items()}


def choose_mlp_table(shared_memory: int) -> str:
    """The name of the table for a GPU.

    Args:
        shared_memory: Bytes that a program may use.
    """
    return 'MLP_LARGE' if shared_memory >= LARGE_SHARED_MEMORY else 'MLP_SMALL'


def choose_mlp_tile(channels: int, shared_memory: int) -> MLPTile:
    """The tile of the MLP in one kernel.

    Args:
        channels: At most ``FUSED_CHANNELS``.
        shared_memory: Bytes that a program may use.
    """
    table = MLP_LARGE if choose_mlp_table(shared_memory) == 'MLP_LARGE' else MLP_SMALL
    return next(tile for limit, tile in table.items() if channels <= limit)
