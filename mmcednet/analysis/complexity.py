"""Complexity of a config's model: its parameters, and its multiply-adds for one image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from mmcednet.config_files import read_config

PROPOSALS = 1000  # input of the box heads
DETECTIONS = 100  # input of the mask heads


class Complexity(NamedTuple):
    """Complexity of a model."""

    params: float  # M
    macs: float  # G multiply-adds


def compute_complexity(config: str | Path, image_size: tuple[int, int]) -> Complexity:
    """Count the parameters and multiply-adds of a config's model, including its heads.

    Convolutions, linear layers and matrix products count; one multiply-add counts as one. In two-stage
    detectors, each box head processes 1000 proposals and each mask head 100.

    Args:
        config: Config file, or a config of a toolbox such as mmdet::FILE.
        image_size: (H, W) in px.

    Raises:
        ValueError: The config does not exist.
    """
    cfg = read_config(str(config))
    if 'roi_head' in cfg.model:
        run, device = run_two_stage, 'meta'
    elif 'decoder' in cfg.model:
        run, device = run_detr, 'cpu'
    else:
        run, device = run_dense, 'meta'
    with (
        DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')),
        torch.device(device),
        LinspaceOnCPU(),
    ):
        model = MODELS.build(cfg.model).eval().requires_grad_(False)
        images = torch.zeros(1, 3, *image_size)
    with torch.device(device), FlopCounterMode(display=False) as counter:
        run(model, images)
    params = sum(param.numel() for param in model.parameters())
    return Complexity(params / 1e6, counter.get_total_flops() / 2 / 1e9)


def run_dense(model: Any, images: Tensor) -> None:
    """Run a one-stage detector, a segmenter or a classifier."""
    model(images, mode='tensor')


def run_two_stage(model: Any, images: Tensor) -> None:
    """Run a detector with a region proposal network, with fixed numbers of regions."""
    features = model.extract_feat(images)
    model.rpn_head(features)
    roi_head = model.roi_head
    for head in list_stage_heads(roi_head.bbox_head):
        head(torch.zeros(PROPOSALS, head.in_channels, *head.roi_feat_size))
    for head in list_stage_heads(roi_head.mask_head):
        head(torch.zeros(DETECTIONS, head.in_channels, *head.roi_feat_size))
    if getattr(roi_head, 'semantic_head', None) is not None:  # of Hybrid Task Cascade
        roi_head.semantic_head(features)


def list_stage_heads(module: nn.Module) -> list[Any]:
    """List the heads of all cascade stages, or the only head."""
    return list(module) if isinstance(module, nn.ModuleList) else [module]


def run_detr(model: Any, images: Tensor) -> None:
    """Run a DETR-like detector, which reads sizes from tensors: they need values, hence the CPU."""
    from mmdet.structures import DetDataSample

    size = tuple(images.shape[-2:])
    sample = DetDataSample(metainfo=dict(batch_input_shape=size, img_shape=size))
    with SkipArithmetic():
        model(images, [sample], mode='tensor')


class LinspaceOnCPU(TorchFunctionMode):
    """Keep ``torch.linspace`` on the CPU: the toolboxes' backbones read drop path rates from it."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs['device'] = 'cpu'
        return func(*args, **kwargs)


class SkipArithmetic(TorchDispatchMode):
    """Return zeros from the operators that take most of the time, to save it; sizes are still computed.

    Large features are one zero, repeated without memory of their own.
    """

    SKIPPED = (
        torch.ops.aten.convolution,
        torch.ops.aten.mm,
        torch.ops.aten.addmm,
        torch.ops.aten.bmm,
        torch.ops.aten.baddbmm,
        torch.ops.aten.gelu,
        torch.ops.aten.stack,
        torch.ops.aten.mul,
    )
    LARGE = 10_000  # elements; smaller tensors may be sizes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operator = func._overloadpacket
        if operator is torch.ops.aten.relu_:  # could not write to repeated zeros
            return args[0]
        if operator is torch.ops.aten.grid_sampler_2d:  # slow on the meta device
            images, grid = args[:2]
            return self.make_zeros(images, (*images.shape[:2], *grid.shape[1:3]))
        inputs = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        if operator not in self.SKIPPED or all(x.numel() < self.LARGE for x in inputs):
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(Tensor, lambda x: x.to('meta'), (args, kwargs))
        out = func(*args, **kwargs)
        return self.make_zeros(out, out.shape)

    def make_zeros(self, like: Tensor, shape: Sequence[int]) -> Tensor:
        zeros = torch.zeros((), dtype=like.dtype, device='cpu').expand(shape)
        return zeros if zeros.numel() >= self.LARGE else zeros.clone()
