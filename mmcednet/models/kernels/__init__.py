"""Faster ways to compute what the layers of the network compute, as functions of tensors.

An operator has the same name and arguments in each of its implementations: ``reference``, plain torch,
which says what it computes, ``cpu``, and ``triton`` for a GPU, where Triton is installed. :func:`find`
decides which one is used, and binds an argument that Triton's have besides. Nothing here imports the
network; :mod:`mmcednet.models.execution` puts the operators into it.
"""

import functools
import importlib
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from . import cpu
from .autocast import get_autocast_dtype

PLAIN = (Tensor, nn.Parameter)  # other subclasses, such as quantised tensors, compute in their own way
FLOATS = (torch.float32, torch.bfloat16, torch.float16)  # of the operators on a GPU
FUSED = ('mlp', 'norm_mlp')  # of which Triton has a kernel where no gradients are needed
SWITCH = 'MMCEDNET_TRITON'  # an environment variable; 1: operators in Triton
TRITON = (3, 3)  # at least, which knows tuples
CAPABILITY = (8, 0)  # of a GPU, at least


@functools.cache
def explain_without_triton() -> str:
    """Why there are no operators in Triton, or an empty string if there are."""
    if os.environ.get(SWITCH) != '1':  # until they have run on GPUs
        return f'{SWITCH} is not 1'
    if not torch.cuda.is_available() and os.environ.get('TRITON_INTERPRET') != '1':
        return 'there is no GPU'
    if torch.version.hip or importlib.util.find_spec('triton') is None:
        return 'Triton for CUDA is not installed'
    version = importlib.import_module('triton').__version__
    if tuple(map(int, version.split('.')[:2])) < TRITON:
        return f'Triton {version} is older than {".".join(map(str, TRITON))}'
    return explain_without_compiler() if torch.cuda.is_available() else ''


def explain_without_compiler() -> str:
    """What is missing of a C compiler and Python's headers, with which Triton calls its kernels."""
    if not (os.environ.get('CC') or shutil.which('gcc') or shutil.which('clang')):
        return 'there is no C compiler, gcc or clang, which Triton needs'
    scheme = sysconfig.get_default_scheme().replace('posix_local', 'posix_prefix')  # as Triton has it
    header = Path(sysconfig.get_paths(scheme)['include'], 'Python.h')
    return '' if header.is_file() else f'there is no {header}, which Triton needs (Debian: python3-dev)'


def import_triton() -> ModuleType | None:
    """The operators in Triton, or None."""
    return None if explain_without_triton() else importlib.import_module('.triton', __name__)


triton = import_triton()


def find(
    operator: str, x: Tensor, *weights: Tensor | None, training: bool = False
) -> Callable[..., Tensor] | None:
    """Return the implementation of an operator that is the fastest for its operands.

    Args:
        operator: Name of a function of ``reference``.
        x: The operator's features.
        weights: Its other operands.
        training: Whether the layer is in training mode. Default: False.

    Returns:
        The implementation; None if the layers should compute it themselves: where there is none, under
        an exporter or a transform of torch.func; on a CPU also under torch.compile, and in mixed
        precision except in evaluation without gradients. In training, what is computed does not depend
        on whether gradients are needed: a reversible network runs a layer once without and once with
        them, and both must agree.
    """
    if triton is None and is_traced():  # first: torch 2.1 cannot compile what follows
        return None
    if torch.jit.is_tracing() or is_exporting() or is_transformed():
        return None
    if any(type(operand) not in PLAIN for operand in (x, *weights) if operand is not None):
        return None
    if triton is not None and x.dtype in FLOATS and runs_triton(x.device):
        compute = getattr(triton, operator)
        return functools.partial(compute, fuse=False) if training and operator in FUSED else compute
    if x.device.type == 'cpu' and not is_traced() and hasattr(cpu, operator):
        compute, dtype = getattr(cpu, operator), get_autocast_dtype('cpu')
        if dtype is None:
            return compute
        if not training and not torch.is_grad_enabled() and x.dtype in FLOATS:
            return functools.partial(compute_in_low_precision, compute, dtype)
    return None


def compute_in_low_precision(
    compute: Callable[..., Tensor], dtype: torch.dtype, *operands: Any
) -> Tensor:
    """Call an operator for a CPU with operands of autocast's type."""
    return compute(*(each.to(dtype) if isinstance(each, Tensor) else each for each in operands))


def runs_triton(device: torch.device) -> bool:
    """Whether a device runs the operators in Triton: a recent GPU, or a CPU in Triton's interpreter."""
    if device.type == 'cuda':
        return get_capability(device) >= CAPABILITY
    return device.type == 'cpu' and triton is not None and triton.INTERPRETED


def get_capability(device: torch.device) -> tuple[int, int]:
    """A GPU's CUDA capability, by a function that torch.compile knows to be constant."""
    properties = torch.cuda.get_device_properties(device)
    return properties.major, properties.minor


def describe(device: torch.device) -> str:
    """The implementation that a network on a device uses, and why, for a log."""
    if triton is not None and runs_triton(device):
        return f'Triton ({SWITCH}=1)'
    if device.type == 'cpu':
        return 'for a CPU'
    if device.type != 'cuda':
        return f'plain torch, as there are none for {device.type}'
    old = f'the GPU has capability {get_capability(device)}, less than {CAPABILITY}'
    return f'plain torch, as {explain_without_triton() or old}'


def is_exporting() -> bool:
    """Whether torch.export is recording; is_exporting() of torch is true in torch.compile, too."""
    return getattr(torch.compiler, '_is_exporting_flag', False)


def is_traced() -> bool:
    """Whether an exporter is recording, or torch.compile, which makes operators of its own."""
    if torch.jit.is_tracing():
        return True
    if hasattr(torch.compiler, 'is_compiling'):
        return torch.compiler.is_compiling()
    return torch._dynamo.is_compiling()  # torch < 2.3


def is_transformed() -> bool:
    """Whether a transform of torch.func is active, grad, vmap, jvp or another, or forward-mode AD."""
    in_forward_mode = torch.autograd.forward_ad._current_level >= 0
    return in_forward_mode or torch._C._are_functorch_transforms_active()
