"""CSWin Transformer (Dong et al., 2022), from the blocks of CEDNet's cross-window mixer."""

from collections.abc import Sequence

from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.blocks import AttentionCEDBlock, list_modules, set_drop_path
from mmcednet.models.execution import use_kernels
from mmcednet.models.layers import LayerNorm2d
from mmcednet.models.mixers import CrossWindowAttention
from mmcednet.models.pretrained import PretrainedBackbone
from mmcednet.models.utils import are_integers, init_truncated, unify_levels

EPS = 1e-5  # of every LayerNorm; CEDNet's have 1e-6
NUM_STAGES = 4


@MODELS.register_module()
class CSWin(PretrainedBackbone):
    """CSWin Transformer (its section 3): four stages at strides 4, 8, 16 and 32.

    The defaults are CSWin-T. The last stage attends globally.

    Args:
        channels: Width of the first stage; it doubles from stage to stage. Default: 64.
        depths: Blocks of each stage. Default: (1, 2, 21, 1).
        num_heads: Attention heads of each stage, even except for the last. Default: (2, 4, 8, 16).
        stripes: Width of a stripe in each stage but the last, in tokens. Default: (1, 2, 7).
        drop_path_rate: Stochastic depth of the last block; it grows linearly from 0. Default: 0.1.
        out_indices: Stages whose normalised features are returned, 0 to 3. Default: (0, 1, 2, 3).
        init_cfg: Initialization config of mmengine; ``dict(type='Pretrained', checkpoint=...)`` may
            name a converted classifier or detector. Default: None.

    Raises:
        ValueError: A stage has no width, depth, heads or stripe, its channels do not fit its heads, or
            an index of ``out_indices`` is not a stage.
    """

    def __init__(
        self,
        channels: int = 64,
        depths: Sequence[int] = (1, 2, 21, 1),
        num_heads: Sequence[int] = (2, 4, 8, 16),
        stripes: Sequence[int] = (1, 2, 7),
        drop_path_rate: float = 0.1,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, values, length in (
            ('channels', (channels,), 1),
            ('depths', depths, NUM_STAGES),
            ('num_heads', num_heads, NUM_STAGES),
            ('stripes', stripes, NUM_STAGES - 1),
        ):
            if not are_integers(values, length, minimum=1):
                raise ValueError(f'{name} {values!r} must be {length} positive integers')
        if not set(out_indices) <= set(range(NUM_STAGES)):
            raise ValueError(f'out_indices {out_indices!r} must be stages, 0 to {NUM_STAGES - 1}')
        self.out_indices = tuple(out_indices)
        widths = [channels * 2**stage for stage in range(NUM_STAGES)]

        def build_block(stage: int) -> AttentionCEDBlock:
            stripe = None if stage == NUM_STAGES - 1 else stripes[stage]
            mixer = CrossWindowAttention(widths[stage], num_heads[stage], stripe)
            return AttentionCEDBlock(widths[stage], mixer, EPS)

        self.embed = nn.Sequential(
            nn.Conv2d(3, channels, 7, stride=4, padding=2), LayerNorm2d(channels, EPS)
        )
        self.merges = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width // 2, width, 3, stride=2, padding=1), LayerNorm2d(width, EPS))
            for width in widths[1:]
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(build_block(stage) for _ in range(depth)))
            for stage, depth in enumerate(depths)
        )
        set_drop_path(list_modules(self.stages, AttentionCEDBlock), drop_path_rate, sum(depths))
        for stage in self.out_indices:
            self.add_module(f'norm{stage}', LayerNorm2d(widths[stage], EPS))
        self.apply(init_truncated)
        use_kernels(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) -> (N, C_i, H / stride, W / stride) of each stage in ``out_indices``."""
        outs = []
        for index, (downsample, stage) in enumerate(zip([self.embed, *self.merges], self.stages)):
            x = stage(downsample(x))
            if index in self.out_indices:
                outs.append(getattr(self, f'norm{index}')(x))
        return unify_levels(outs)
