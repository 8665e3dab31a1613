"""Normalisation of the levels of a backbone that does not normalise them itself."""

from collections.abc import Sequence

from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.layers import LayerNorm2d
from mmcednet.models.pretrained import PretrainedBackbone
from mmcednet.models.utils import are_integers, unify_levels

EPS = 1e-5  # FocalNet's


@MODELS.register_module()
class NormedLevels(PretrainedBackbone):
    """Backbone: another backbone with a LayerNorm on each of its levels.

    Pre-norm networks leave their features unnormalised; detectors with them normalise each level
    before the neck, as FocalNet does (Yang et al., 2022, Section 4.2). The backbones of timm do not.

    Args:
        network: Config of the backbone, of any toolbox. mmpretrain's TIMMBackbone needs timm.
        channels: Channels of each of its levels, finest first.
        init_cfg: Initialization config of mmengine; ``dict(type='Pretrained', checkpoint=...)`` may
            name a converted classifier or detector. Default: None.

    Raises:
        ValueError: ``channels`` are not positive integers.
    """

    def __init__(self, network: dict, channels: Sequence[int], init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not are_integers(channels, len(channels), minimum=1):
            raise ValueError(f'channels {channels} must be positive integers, one per level')
        self.network = MODELS.build(network)
        self.norms = nn.ModuleList(LayerNorm2d(width, EPS) for width in channels)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> (N, C_i, H_i, W_i) of each level, contiguous, finest first."""
        levels = self.network(images)
        return unify_levels(norm(x) for norm, x in zip(self.norms, levels, strict=True))
