"""CBNet, identical backbones of which each feeds the next (Liu et al., AAAI 2020)."""

from mmengine.model import ModuleList
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmcednet.models.layers import resize_to
from mmcednet.models.pretrained import PretrainedBackbone

STEM = ('conv1', 'norm1', 'relu', 'maxpool')


@MODELS.register_module()
class CBNet(PretrainedBackbone):
    """Backbone: several ResNets or ResNeXts, from whose assistants the lead receives features.

    The input of each stage of a backbone is the output of its own stage before plus that of the same
    stage of the next assistant, after a 1x1 convolution, BatchNorm and a nearest-neighbour resize: the
    paper's Adjacent Higher-Level Composition (Section 3.2).

    Args:
        backbone: Config of a ResNet or ResNeXt of mmdet or mmpretrain, with a stem of one convolution.
            All backbones are built from it; its ``init_cfg`` initialises each of them.
        num_backbones: Number of backbones: 2 is the paper's Dual, 3 its Triple. Default: 2.
        norm_eval: Keep the running statistics of the connections' BatchNorm as they are in training,
            for batches of few images; the backbones have the same option. Default: True.
        init_cfg: Initialization config of mmengine; ``dict(type='Pretrained', checkpoint=...)`` may
            name a converted detector. Default: None.

    Attributes:
        backbones: The lead, whose features are returned, then its assistants, each of which feeds the
            one before.
        connections: For each assistant, a convolution and BatchNorm to each stage of the one before.

    Raises:
        ValueError: There are fewer than two backbones, or the backbone is not a ResNet with a stem of
            one convolution.
    """

    def __init__(
        self,
        backbone: dict,
        num_backbones: int = 2,
        norm_eval: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if type(num_backbones) is not int or num_backbones < 2:
            raise ValueError(f'num_backbones {num_backbones} must be an integer of at least 2')
        # mmengine's ModuleList: torch's would not be initialised by init_weights
        self.backbones = ModuleList(MODELS.build(backbone) for _ in range(num_backbones))
        lead = self.backbones[0]
        missing = [name for name in (*STEM, 'res_layers') if not hasattr(lead, name)]
        if missing:
            raise ValueError(
                f'backbone {type(lead).__name__} has no {", ".join(missing)}; it must be a ResNet or '
                f'ResNeXt with a stem of one convolution'
            )
        self.stages = tuple(lead.res_layers)
        self.out_indices = tuple(lead.out_indices)
        self.norm_eval = norm_eval
        self.connections = nn.ModuleList(self.build_connections() for _ in range(num_backbones - 1))

    def build_connections(self) -> nn.ModuleDict:
        """The connection from the output of each stage of an assistant to the input of that stage."""
        lead = self.backbones[0]
        coarsest = len(self.stages) - 1
        connections, width = nn.ModuleDict(), lead.stem_channels
        for i, stage in enumerate(self.stages):
            next_width = lead.feat_dim // 2 ** (coarsest - i)
            conv = nn.Conv2d(next_width, width, 1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')
            connections[stage] = nn.Sequential(conv, nn.BatchNorm2d(width))
            width = next_width
        return connections

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> (N, C_i, H_i, W_i) of each level of the lead, finest first."""
        xs = [self.apply_stem(backbone, images) for backbone in self.backbones]
        outs = []
        for stage in self.stages:
            for i in reversed(range(len(xs))):  # the lead last
                if i + 1 < len(xs):
                    connection = self.connections[i].get_submodule(stage)
                    xs[i] = xs[i] + resize_to(connection(xs[i + 1]), xs[i], 'nearest')
                xs[i] = getattr(self.backbones[i], stage)(xs[i])
            outs.append(xs[0])
        return tuple(outs[i] for i in self.out_indices)

    @staticmethod
    def apply_stem(backbone: nn.Module, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, H / 4, W / 4), rounded up."""
        x = images
        for name in STEM:
            x = getattr(backbone, name)(x)
        return x

    def train(self, mode: bool = True) -> 'CBNet':
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.connections.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self
