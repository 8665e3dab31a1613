"""The paper's "time for feature fusion": how much of a network comes before its first fusion.

Definition: of the parameters of backbone and neck, the share that is used before features of two
levels meet for the first time. A head does not count, and neither does the stem, the layers that bring
the image to stride 4: the sixths of the paper's Table 4 leave the stem out as well.

- The level of a feature is how often it, or anything it was computed from, has been halved. Upsampling
  does not undo that: what has seen more of the image is what a fusion brings together.
- A fusion is an operation on features of two levels: the sum in a top-down path, the concatenation in a
  U-Net. A residual sum is none, nor is a strided shortcut's. A gate (squeeze and excite) is none: a
  globally pooled vector stays at the level that it was pooled from. Attention stays at the level of
  its queries: that its keys are pooled to save work is no fusion.
- A neck that fuses is one fusion module, its lateral convolutions included. Without a fusion in the
  backbone and the neck, everything comes before.

It gives both figures of the paper's Figure 1: 91.7 % for ConvNeXt-S with RetinaNet's FPN, and 2.7 % for
HRNet-w32 with HRFPN, which would be 2.8 % with the stem.
"""

import math
from enum import Enum
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakTensorKeyDictionary

from mmcednet.models.blocks import Blocks
from mmcednet.models.cednet import CEDNet

IMAGE_SIZE = 256  # px: a whole number of positions down to stride 256
STEM_STRIDE = 4

aten = torch.ops.aten
# What can halve a feature map; reshapes cannot: windows, tokens and heads stay at their level.
STRIDED = {  # operator -> its argument stride; without one, pools take their kernel, argument 1
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
    aten.new_empty,  # makes the output of mmcv's operators, such as deformable convolution
}
MATRIX_PRODUCTS = {aten.mm, aten.bmm, aten.baddbmm}  # of attention, the queries' side first


# When a parameter is used first
Phase = Enum('Phase', ('STEM', 'BEFORE_FUSION', 'AFTER_FUSION'))


class FusionTime(NamedTuple):
    """How late a network fuses features of different levels."""

    before: int  # parameters before the first fusion
    total: int  # parameters of backbone and neck; neither counts the stem
    fuses: bool  # whether there is a fusion
    blocks: Fraction | None  # CEDNet: the share of the stages' blocks before the first fusion

    @property
    def share(self) -> float:
        """Of the parameters, 0 to 1."""
        return self.before / self.total


class FusionTracker(TorchDispatchMode):
    """Follows an image through the operations of a network up to the first fusion.

    Args:
        images: (1, C, H, W), what the network is run on.

    Attributes:
        phase: Where the network is.
        phases: Each parameter that has been used -> the phase of its first use.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.stem_size = images.shape[-2:].numel() / STEM_STRIDE**2
        self.phase = Phase.STEM
        self.phases: dict[nn.Parameter, Phase] = {}
        self.levels = WeakTensorKeyDictionary()  # feature -> level
        self.levels[images] = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outs = func(*args, **(kwargs or {}))
        operator = func.overloadpacket
        inputs = tensors((args, kwargs))
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
                level += self._halvings(operator, args, tensors(outs)[0])
            for out in tensors(outs):
                self.levels[out] = level
        return outs

    def _halvings(self, operator: Any, args: Any, out: Tensor) -> int:
        """How often (N, C, H, W) is halved in becoming (N, C', H', W') or (N, C', positions)."""
        positions = out.shape[2:].numel()
        if positions == 1:  # a vector about the whole image, not a feature map
            return 0
        if positions <= self.stem_size and self.phase is Phase.STEM:
            self.phase = Phase.BEFORE_FUSION
        transposed = operator is aten.convolution and args[6]
        if operator in RESIZING or transposed:
            shrinking = args[0].shape[2:].numel() / positions
        else:
            stride = args[STRIDED[operator]] if len(args) > STRIDED[operator] else None
            shrinking = math.prod(stride or args[1])
        return max(0, round(math.log2(shrinking) / 2))


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


@torch.no_grad()
def measure(backbone: nn.Module, neck: nn.Module | None = None) -> FusionTime:
    """Run a backbone and its neck on a small image and see when features are fused first.

    Both must be on the CPU: custom operators, and sizes that are computed from values, do not run
    on the meta device.
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
        blocks=share_of_blocks(backbone, phases) if isinstance(backbone, CEDNet) else None,
    )


def share_of_blocks(cednet: CEDNet, phases: dict[nn.Parameter, Phase]) -> Fraction | None:
    """Share of the stages' blocks, hourglass laterals included, that come before the first fusion.

    None where there are no blocks.
    """
    groups = [module for module in cednet.stages.modules() if isinstance(module, Blocks)]
    firsts = [phases[next(block.parameters())] for group in groups for block in group]
    return Fraction(firsts.count(Phase.BEFORE_FUSION), len(firsts)) if firsts else None


def find(config: str) -> Path:
    """The file of a config.

    Args:
        config: The file, or a toolbox's config such as 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'.

    Raises:
        ValueError: It is not there.
    """
    package, _, name = config.rpartition('::')
    spec = find_spec(package) if package else None
    file = Path(spec.origin).parent / '.mim' / 'configs' / name if spec else Path(config)
    if not file.is_file():
        raise ValueError(f'config {config} is not there')
    return file


def fusion_time(config: str) -> FusionTime:
    """How late the network of a config fuses features; see :func:`measure` and :func:`find`.

    Raises:
        ValueError: The config is not there, or its model has no backbone.
    """
    cfg = Config.fromfile(find(config))
    model = cfg.get('model') or {}
    if not model.get('backbone'):
        raise ValueError(f'config {config} has no model.backbone')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        backbone = MODELS.build(model.backbone)
        neck = MODELS.build(model.neck) if model.get('neck') else None
    return measure(backbone, neck)
