"""The paper's "time for feature fusion": how much of a network precedes its first fusion.

Definition: among the parameters of backbone and neck, the share that is used before features of two
levels are combined for the first time. The head does not count, and neither does the stem, the layers
down to stride 4: the sixths of the paper's Table 4 exclude the stem as well.

- The level of a feature is the number of times that it, or anything it was computed from, has been
  downsampled by 2. Upsampling does not reduce the level: a fusion combines features that have seen
  different extents of the image.
- A fusion is an operation on features of two levels: the sum in a top-down pathway, the concatenation
  in a U-Net. A residual sum is not a fusion, nor is a strided shortcut, nor a gate (squeeze and
  excitation): a globally pooled vector keeps the level that it was pooled from. Attention has the level
  of its queries, even if its keys are pooled to save computation.
- A neck that fuses counts as one fusion module, including its lateral convolutions. If neither backbone
  nor neck fuses, all parameters precede the fusion.

This reproduces both figures of the paper's Figure 1: 91.7 % for ConvNeXt-S with RetinaNet's FPN, and
2.7 % for HRNet-w32 with HRFPN (2.8 % with the stem).
"""

import math
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakTensorKeyDictionary

from mmcednet.config_files import read_config
from mmcednet.models.blocks import Blocks
from mmcednet.models.cednet import CEDNet

IMAGE_SIZE = 256  # px: divisible by all strides up to 256
STEM_STRIDE = 4

aten = torch.ops.aten
# Operators that can downsample a feature map. Reshapes cannot: windows and tokens keep their level.
STRIDED = {  # operator -> index of its stride; without one, pools use the kernel, argument 1
    aten.convolution: 3,
    aten.max_pool2d_with_indices: 2,
    aten.avg_pool2d: 2,
    aten.im2col: 4,
}
RESIZING = {
    aten._adaptive_avg_pool2d,
    aten.adaptive_max_pool2d,
    aten.upsample_nearest2d,
    aten.upsample_bilinear2d,
    aten.upsample_bicubic2d,
    aten.new_empty,  # the output of mmcv's operators, such as deformable convolution
}
MATRIX_PRODUCTS = {aten.mm, aten.bmm, aten.baddbmm}  # in attention, the queries come first


# Phase of the network in which a parameter is first used
Phase = Enum('Phase', ('STEM', 'BEFORE_FUSION', 'AFTER_FUSION'))


class FusionTime(NamedTuple):
    """How late a network fuses features of different levels."""

    before: int  # parameters before the first fusion
    total: int  # parameters of backbone and neck; both without the stem
    fuses: bool  # whether there is a fusion
    blocks: Fraction | None  # CEDNet: the share of the stages' blocks before the first fusion

    @property
    def share(self) -> float:
        """Share of the parameters before the first fusion, 0 to 1."""
        return self.before / self.total


class FusionTracker(TorchDispatchMode):
    """Tracks the levels of features through the operations of a network, up to the first fusion.

    Args:
        images: (1, C, H, W), the network's input.

    Attributes:
        phase: Current phase of the network.
        phases: Phase of each parameter's first use.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.stem_positions = images.shape[-2:].numel() / STEM_STRIDE**2
        self.phase = Phase.STEM
        self.phases: dict[nn.Parameter, Phase] = {}
        self.levels = WeakTensorKeyDictionary()  # feature -> level
        self.levels[images] = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outs = func(*args, **(kwargs or {}))
        operator = func.overloadpacket
        inputs = collect_tensors((args, kwargs))
        levels = [self.levels[x] for x in inputs if x in self.levels]
        if operator in MATRIX_PRODUCTS or 'scaled_dot_product' in operator.__name__:
            levels = levels[:1]
        if len(set(levels)) > 1:
            self.phase = Phase.AFTER_FUSION
        for x in inputs:
            if isinstance(x, nn.Parameter):
                self.phases.setdefault(x, self.phase)
        if levels:
            level = max(levels)
            if (operator in STRIDED or operator in RESIZING) and args[0].dim() == 4:
                resized = collect_tensors(outs)[0]
                level += count_halvings(operator, args, resized)
                if self.phase is Phase.STEM and 1 < count_positions(resized) <= self.stem_positions:
                    self.phase = Phase.BEFORE_FUSION  # from the next operator on
            for out in collect_tensors(outs):
                self.levels[out] = level
        return outs


def count_positions(x: Tensor) -> int:
    """Spatial positions of (N, C, H, W) or (N, C, positions)."""
    return x.shape[2:].numel()


def count_halvings(operator: Any, args: Any, out: Tensor) -> int:
    """How many times an operator downsamples its input (N, C, H, W) by 2."""
    if count_positions(out) == 1:  # a vector of the whole image, not a feature map
        return 0
    transposed = operator is aten.convolution and args[6]
    if operator in RESIZING or transposed:
        factor = count_positions(args[0]) / count_positions(out)
    else:
        stride = args[STRIDED[operator]] if len(args) > STRIDED[operator] else None
        factor = math.prod(stride or args[1])
    return max(0, round(math.log2(factor) / 2))


def collect_tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


@torch.no_grad()
def measure_fusion_time(backbone: nn.Module, neck: nn.Module | None = None) -> FusionTime:
    """Run a backbone and its neck on a small image and find the first fusion.

    Both must be on the CPU: custom operators, and sizes computed from values, do not work on the meta
    device.
    """
    images = torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    network = nn.ModuleList([backbone] if neck is None else [backbone, neck]).eval()
    with FusionTracker(images) as tracker:
        features = backbone(images)
        phases = dict(tracker.phases)  # without the neck: if it fuses, all of it is the fusion module
        if neck is not None:
            neck(features)
    fuses = tracker.phase is Phase.AFTER_FUSION
    counted = [param for param in network.parameters() if phases.get(param) is not Phase.STEM]
    before = [param for param in counted if not fuses or phases.get(param) is Phase.BEFORE_FUSION]
    return FusionTime(
        before=sum(param.numel() for param in before),
        total=sum(param.numel() for param in counted),
        fuses=fuses,
        blocks=compute_block_share(backbone, phases) if isinstance(backbone, CEDNet) else None,
    )


def compute_block_share(cednet: CEDNet, phases: dict[nn.Parameter, Phase]) -> Fraction | None:
    """Share of the stages' blocks, including hourglass laterals, before the first fusion.

    None if the stages have no blocks.
    """
    groups = [module for module in cednet.stages.modules() if isinstance(module, Blocks)]
    first_uses = [phases[next(block.parameters())] for group in groups for block in group]
    if not first_uses:
        return None
    return Fraction(first_uses.count(Phase.BEFORE_FUSION), len(first_uses))


def measure_config_fusion_time(config: str) -> FusionTime:
    """Measure the network of a config; see :func:`measure_fusion_time`.

    Args:
        config: As for :func:`mmcednet.config_files.find_config`.

    Raises:
        ValueError: The config does not exist, or its model has no backbone.
    """
    cfg = read_config(config)
    model: Any = cfg.get('model') or {}
    if not model.get('backbone'):
        raise ValueError(f'config {config} has no model.backbone')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        backbone = MODELS.build(model.backbone)
        neck = MODELS.build(model.neck) if model.get('neck') else None
    return measure_fusion_time(backbone, neck)
