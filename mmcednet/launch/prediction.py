"""Faster predictions: low precision, and CUDA graphs for one image at a time."""

import logging
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmcednet.checks.unwrap import unwrap_model
from mmcednet.models import CEDNet
from mmcednet.models.cuda_graphs import CUDAGraphs
from mmcednet.models.strided_conv import replace_strided_convolutions

# Parts of the toolboxes' models that compute features from images, or outputs from features. What
# follows them, such as boxes, stays in float32 and has another size in each call.
PARTS = ('backbone', 'neck', 'bbox_head', 'rpn_head', 'decode_head')
BFLOAT16_CAPABILITY = (8, 0)  # of a GPU, at least
NO_BFLOAT16 = "not implemented for 'BFloat16'"  # in the error of an operator that lacks it
BFLOAT16_FLAGS = {'avx512_bf16', 'amx_bf16', 'bf16'}  # of a processor, the last one of ARM's


def accelerate_prediction(model: nn.Module, amp: bool = False, cuda_graph: bool = False) -> None:
    """Let the convolutional parts of a model predict in low precision or as CUDA graphs, in place.

    These are the backbone, the neck and dense heads, whatever is called with features alone; their
    outputs are float32. RoI heads and transformers stay as they are.

    Args:
        model: Model of any toolbox, on its device.
        amp: Compute in autocast; :func:`choose_dtype` says in which type. The weights of CEDNet are
            converted. A part with an operator that has no bfloat16 is computed in float32, of which a
            warning is logged. Default: False.
        cuda_graph: Replay a graph for each size of the images, see :class:`CUDAGraphs`. Default: False.

    Raises:
        ValueError: The device can do neither.
    """
    model = unwrap_model(model)
    device = next(model.parameters()).device
    check_device(device, amp, cuda_graph)
    dtype = choose_dtype(device) if amp else None
    for part in (getattr(model, name, None) for name in PARTS):
        if isinstance(part, nn.Module) and (amp or cuda_graph):
            if dtype and isinstance(part, CEDNet):
                convert_weights(part, dtype)
            if dtype and device.type == 'cpu':
                replace_strided_convolutions(part)
            part.forward = FastForward(part, device, dtype, cuda_graph)


def check_device(device: torch.device, amp: bool, cuda_graph: bool) -> None:
    """Raise a ValueError if :func:`accelerate_prediction` cannot do on a device what is wanted."""
    if cuda_graph and device.type != 'cuda':
        raise ValueError(
            f'CUDA graphs (--cuda-graph) need a GPU, but the model is on the {device.type}'
        )
    if amp:
        choose_dtype(device)


def choose_dtype(device: torch.device) -> torch.dtype:
    """The type for low precision: bfloat16; float16 on a GPU that has no bfloat16.

    Raises:
        ValueError: The device is a processor without instructions for bfloat16.
    """
    if device.type == 'cuda':
        has_bfloat16 = torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if not read_processor_flags() & BFLOAT16_FLAGS:
        raise ValueError(
            'low precision (--amp) needs a GPU, or a processor with instructions for bfloat16 '
            '(avx512_bf16 or amx_bf16 in /proc/cpuinfo), without which it would be slower'
        )
    return torch.bfloat16


def read_processor_flags(cpuinfo: Path = Path('/proc/cpuinfo')) -> set[str]:
    """Names of the processor's instruction sets; none where it is not Linux."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return {
        flag for line in lines if line.startswith(('flags', 'Features')) for flag in line.split()[2:]
    }


def convert_weights(network: CEDNet, dtype: torch.dtype) -> None:
    """Convert the weights of convolutions and linear layers, which autocast would do in each call."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


class FastForward:
    """A part's forward that does what :func:`accelerate_prediction` says, for features alone.

    A copy of the part has one of its own.
    """

    def __init__(
        self, part: nn.Module, device: torch.device, dtype: torch.dtype | None, cuda_graph: bool
    ) -> None:
        self.forward = part.forward
        self.name = type(part).__name__
        self.device = device
        self.dtype = dtype
        self.compute = CUDAGraphs(self.compute_in_dtype) if cuda_graph else self.compute_in_dtype

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and is_features(args[0]):
            return self.compute(args[0])
        return self.forward(*args, **kwargs)

    def compute_in_dtype(self, features: Any) -> Any:
        try:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                outs = self.forward(features)
        except RuntimeError as error:  # mmcv's deformable convolutions have no bfloat16
            if self.dtype is None or NO_BFLOAT16 not in str(error):
                raise
            self.dtype = None
            print_log(f'{self.name} predicts in float32: {error}', 'current', logging.WARNING)
            outs = self.forward(features)
        return tree_map(to_float32, outs)


def is_features(value: Any) -> bool:
    """Whether this is (N, C, H, W), or a list or tuple of such."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(each, Tensor) and each.ndim == 4 for each in values)


def to_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
