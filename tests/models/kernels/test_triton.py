"""The operators in Triton, in Triton's interpreter and compiled for GPUs, without one."""

import itertools
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

triton = pytest.importorskip('triton', minversion='3.3')
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from mmcednet.models import ARCHS  # noqa: E402
from mmcednet.models.stem import STEM_CHANNELS  # noqa: E402

HERE = Path(__file__).parent
SHARED_MEMORY = {80: 163 * 1024, 89: 99 * 1024, 90: 227 * 1024}  # capability -> bytes of a program
WEIGHTS = ('weight', 'bias', 'norm_', 'gamma', 'factors', 'peak')


def run_interpreted(*args):
    """Run tests in a process of its own, where Triton interprets its kernels."""
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *args]
    env = dict(os.environ, TRITON_INTERPRET='1', MMCEDNET_TRITON='1')
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]


def test_interpreted():
    run_interpreted(HERE / 'interpreted.py', HERE / 'interpreted_networks.py', '-m', 'not slow')


@pytest.mark.slow
def test_interpreted_training():
    run_interpreted(HERE / 'interpreted_training.py')


def list_kernels(arch):
    """The kernels of CEDNet with the pyramid of RetinaNet, for training and inference."""
    from mmcednet.models.kernels.triton import convolution, cublas_mlp, fused_mlp, norm, tiles

    channels = ARCHS[arch]['channels']
    for dilation, mirrored in itertools.product(tiles.CONV, (False, True)):
        tile = tiles.CONV[dilation]
        constants = dict(kernel=7, dilation=dilation, mirrored=mirrored, rows=tile.rows)
        constants |= dict(tile_columns=tile.columns, tile_channels=tile.channels)
        # an input's gradient has no bias, and the copied weights are contiguous in another order
        constants |= dict(bias_ptr=None, channel_stride=1) if mirrored else dict(tap_stride=1)
        yield convolution.convolve_kernel, constants, dict(num_warps=tile.warps)
    tile = tiles.CONV_WEIGHT
    constants = dict(kernel=7, dilation=3, tile_columns=tile.columns, tile_channels=tile.channels)
    yield convolution.weight_gradient_kernel, constants, dict(num_warps=tile.warps)

    norms = [(STEM_CHANNELS, True, False), (channels[0], True, False), (channels[3], True, True)]
    norms += [(width, False, False) for width in (*channels, 256)]
    for width, gelu, shortcut in norms:
        constants = dict(channels=width, gelu=gelu, **norm.choose_tile(width))
        yield norm.norm_act_backward_kernel, constants, dict(num_warps=tiles.NORM_BACKWARD_WARPS)
        constants |= {} if shortcut else dict(shortcut_ptr=None)
        yield norm.norm_act_kernel, constants, dict(num_warps=tiles.NORM_WARPS)

    constants = dict(tile_pixels=tiles.ROWS, tile_channels=tiles.COLUMNS)
    yield cublas_mlp.gelu_kernel, constants, dict(num_warps=tiles.GELU_WARPS)
    yield cublas_mlp.gelu_backward_kernel, constants, dict(num_warps=tiles.GELU_BACKWARD_WARPS)
    for width in channels:
        constants = dict(channels=width, **norm.choose_tile(width))
        yield cublas_mlp.residual_kernel, constants, dict(num_warps=tiles.RESIDUAL_WARPS)
        if fused_mlp.can_fuse(width, 4 * width):
            yield fused_mlp.fused_mlp_kernel, width, {}


def compile_kernel(kernel, constants, options, capability):
    """What ptxas says of the kernel for bfloat16 features and float32 weights."""
    from mmcednet.models.kernels.triton import fused_mlp, tiles

    if kernel is fused_mlp.fused_mlp_kernel:
        width, tile = constants, tiles.choose_mlp_tile(constants, SHARED_MEMORY[capability])
        first, second = fused_mlp.split_channels(width)
        constants = dict(channels=width, first=first, second=second, hidden=4 * width, norm=True)
        constants |= dict(gelu=False, shortcut_ptr=None, float32_products=False)
        constants |= dict(tile_pixels=tile.pixels, tile_hidden=tile.hidden)
        options = dict(num_warps=tile.warps, num_stages=tile.stages)
    signature, attributes = {}, {}
    for index, name in enumerate(kernel.arg_names):
        kind = 'fp32' if name in ('eps', 'scale') else 'i32'
        if name.endswith('_ptr'):
            is_weight = name.startswith(WEIGHTS) and name not in ('weight1_ptr', 'weight2_ptr')
            kind = '*fp32' if is_weight else '*bf16'
        signature[name] = 'constexpr' if name in constants else kind
        if signature[name][0] == '*' or (name == 'channels' and signature[name] == 'i32'):
            attributes[index,] = [['tt.divisibility', 16]]
    source = ASTSource(kernel, signature=signature, constexprs=constants, attrs=attributes)
    compiled = triton.compile(source, target=GPUTarget('cuda', capability, 32), options=options)
    assert compiled.metadata.shared <= SHARED_MEMORY[capability]
    return compiled


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['tiny', 'base'])
@pytest.mark.parametrize('capability', SHARED_MEMORY)
def test_kernels_fit_into_registers(arch, capability, tmp_path, monkeypatch):
    """Compiled for GPUs that are not there. Registers that spill would be slow."""
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    ptxas = Path(triton.__file__).parent / 'backends' / 'nvidia' / 'bin' / 'ptxas'
    target = f'sm_{capability}a' if capability == 90 else f'sm_{capability}'
    start, kernels, registers = time.process_time(), 0, 0
    for kernel, constants, options in list_kernels(arch):
        compiled = compile_kernel(kernel, constants, options, capability)
        source = tmp_path / 'kernel.ptx'
        source.write_text(compiled.asm['ptx'])
        command = [ptxas, '-v', f'-arch={target}', source, '-o', os.devnull]
        log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        assert '0 bytes spill stores, 0 bytes spill loads' in log, (kernel.__name__, constants, log)
        kernels += 1
        registers = max(registers, int(re.search(r'Used (\d+) registers', log)[1]))
    print(f'{target}: {kernels} kernels, {registers} registers, {time.process_time() - start:.1f} s')
