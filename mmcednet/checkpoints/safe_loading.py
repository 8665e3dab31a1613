"""Checkpoints cannot run code: their pickles may hold tensors and plain data only."""

import logging
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader

from mmcednet.requirements import parse_release

VARIABLE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'  # torch's
TRUE = ('1', 'y', 'yes', 'true')
INTEGERS = [f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)]
DTYPES = ['bool', *INTEGERS, 'float16', 'float32', 'float64', 'str']


def get_statistic(owner: object, name: str) -> Callable:
    """Stands for ``getattr``, by which mmengine's training state refers to HistoryBuffer's methods."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner},{name}) was not an allowed global')
    return getattr(HistoryBuffer, name)


def list_allowed() -> dict[str, Callable]:
    """By name, what the training state in mmengine's checkpoints needs beside torch's own types."""
    # numpy's functions, by what it pickles: their module has several names
    reconstruct: Any = np.empty(0).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    allowed: dict[str, Callable] = {
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'builtins.getattr': get_statistic,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
    }
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed[f'{module}._reconstruct'] = reconstruct
        allowed[f'{module}.scalar'] = scalar
    for kind in DTYPES:
        dtype = type(np.dtype(kind))
        allowed[f'{dtype.__module__}.{dtype.__qualname__}'] = dtype
    return allowed


def refuse_code() -> None:
    """Make mmengine's loaders refuse checkpoints that could run code.

    For this process and those that it starts, unless the environment variable
    TORCH_FORCE_WEIGHTS_ONLY_LOAD is 0. Before torch 2.6 only files are protected, not the toolboxes'
    own addresses of pre-trained weights.
    """
    if refuse_files() and has_allow_list():
        os.environ[VARIABLE] = '1'


def refuse_files() -> bool:
    """Make mmengine's loader refuse files that could run code, in this process; torch's stays as it is.

    Returns:
        Whether it does: not with TORCH_FORCE_WEIGHTS_ONLY_LOAD=0.
    """
    if os.environ.get(VARIABLE, '1').lower() not in TRUE:
        print_log(f'With {VARIABLE}=0 checkpoints may run code', 'current', logging.WARNING)
        return False
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_file, force=True)
    return True


def has_allow_list() -> bool:
    """Whether torch has a list of allowed types with their names."""
    return parse_release(torch.__version__) >= (2, 6)


def load_from_file(filename: str | Path, map_location: Any = None) -> Any:
    """Load a checkpoint file as mmengine does, but without running code.

    Args:
        filename: The file.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: The file does not exist.
        RefusedError: It contains an object of a type that is not allowed, or is no checkpoint.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path} can not be found.')
    try:
        if not has_allow_list():
            module = SimpleNamespace(Unpickler=Unpickler, load=load, __name__='pickle')
            return torch.load(path, map_location=map_location, pickle_module=module)
        allowed: list[Any] = [(value, name) for name, value in list_allowed().items()]
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|function|got <class) '?([^\s'>]+)", str(error))
        if found is None:
            raise RefusedError(
                f'{filename} cannot be read as a checkpoint: it is damaged or not written by torch.save'
            ) from None
        raise RefusedError(
            f'{filename} contains {found[1]}, which may run code when the file is loaded; if you trust '
            f'it, set {VARIABLE}=0, for example once to write its weights with mmcednet publish'
        ) from None


class RefusedError(ValueError):
    """A checkpoint could run code."""


class Unpickler(pickle.Unpickler):
    """Reads objects of the allowed types only, for torch before 2.6."""

    def find_class(self, module: str, name: str) -> Any:
        qualified = f'{module}.{name}'.replace('__builtin__.', 'builtins.')
        if qualified in TORCH_TYPES or is_torch_data(module, name):
            return super().find_class(module, name)
        try:
            return list_allowed()[qualified]
        except KeyError:
            raise pickle.UnpicklingError(f'GLOBAL {qualified} was not an allowed global') from None


TORCH_TYPES = (
    'collections.OrderedDict',
    'collections.Counter',  # milestones of MultiStepLR
    'builtins.set',
    'builtins.slice',
    '_codecs.encode',  # bytes in numpy arrays
    'torch._utils._rebuild_tensor_v2',
    'torch._utils._rebuild_parameter',
    'torch.Size',
    'torch.device',
)


def is_torch_data(module: str, name: str) -> bool:
    """Whether a name of torch is that of a storage or a data type."""
    value = getattr(torch, name, None)
    return module == 'torch' and (name.endswith('Storage') or isinstance(value, torch.dtype))


def load(file: Any, **settings: Any) -> Any:
    """``pickle.load`` for the allowed types; torch reads the parts of its oldest format by it."""
    return Unpickler(file, **settings).load()
