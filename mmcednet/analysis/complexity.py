"""What the model of a config costs: its parameters, and its multiply-adds for one image."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

PROPOSALS = 1000  # through the box heads
DETECTIONS = 100  # through the mask heads


class Cost(NamedTuple):
    params: float  # M
    macs: float  # G multiply-adds


def cost(config: str | Path, image_size: tuple[int, int]) -> Cost:
    """Parameters and multiply-adds of the model of a config, heads included.

    Convolutions, linears and matrix products count, one multiply-add as one. Of two-stage detectors,
    1000 proposals go through each box head and 100 through each mask head.

    Args:
        config: File.
        image_size: (H, W) in px.
    """
    cfg = Config.fromfile(config)
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
    return Cost(params / 1e6, counter.get_total_flops() / 2 / 1e9)


def run_dense(model: nn.Module, images: Tensor) -> None:
    """One-stage detectors, segmenters, classifiers."""
    model(images, mode='tensor')


def run_two_stage(model: nn.Module, images: Tensor) -> None:
    """Detectors with a region proposal network; the regions' features are of a given number."""
    features = model.extract_feat(images)
    model.rpn_head(features)
    roi_head = model.roi_head
    for head in heads(roi_head.bbox_head):
        head(torch.zeros(PROPOSALS, head.in_channels, *head.roi_feat_size))
    for head in heads(roi_head.mask_head):
        head(torch.zeros(DETECTIONS, head.in_channels, *head.roi_feat_size))
    if getattr(roi_head, 'semantic_head', None) is not None:  # of Hybrid Task Cascade
        roi_head.semantic_head(features)


def heads(module: nn.Module) -> list[nn.Module]:
    """The heads of each cascade stage, or the one head."""
    return list(module) if isinstance(module, nn.ModuleList) else [module]


def run_detr(model: nn.Module, images: Tensor) -> None:
    """Detectors with a transformer. It reads sizes from tensors, which must have values for that."""
    from mmdet.structures import DetDataSample

    size = tuple(images.shape[-2:])
    sample = DetDataSample(metainfo=dict(batch_input_shape=size, img_shape=size))
    with WithoutArithmetic():
        model(images, [sample], mode='tensor')


class LinspaceOnCPU(TorchFunctionMode):
    """The toolboxes' backbones read rates of stochastic depth from ``torch.linspace``: with values."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs['device'] = 'cpu'
        return func(*args, **kwargs)


class WithoutArithmetic(TorchDispatchMode):
    """On the CPU, convolutions, products and samplings return zeros of their shape."""

    SKIPPED = (
        torch.ops.aten.convolution,
        torch.ops.aten.mm,
        torch.ops.aten.addmm,
        torch.ops.aten.bmm,
        torch.ops.aten.baddbmm,
        torch.ops.aten.grid_sampler_2d,
    )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in self.SKIPPED:
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(Tensor, lambda x: x.to('meta'), (args, kwargs))
        return torch.zeros_like(func(*args, **kwargs), device='cpu')
