"""CEDNet: a cascade encoder-decoder backbone for dense prediction (paper, section 3, Figure 2)."""

import math
from collections.abc import Sequence

from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .arch import choose_mixer, parse_arch
from .blocks import MIXERS, Design, set_drop_path
from .execution import RECOMPUTE, apply_recompute, use_kernels
from .pretrained import PretrainedBackbone
from .pyramid import Pyramid, RawLevels
from .stage import STYLES, Decoder, Stage
from .stem import Stem
from .strided_conv import replace_strided_convolutions
from .utils import are_integers, check_choice, init_layer, unify_levels

MIN_SIZE = 32
DECAY_TYPES = ('coarse', 'fine')


@MODELS.register_module()
class CEDNet(PretrainedBackbone):
    """The CEDNet backbone.

    A stem to stride 8, then a cascade of identical encoder-decoder stages, each of which takes the
    highest-resolution output of the previous one. The last stage's outputs go directly into a head
    (``neck=None``), as a feature pyramid or as raw levels.

    Args:
        arch: 'tiny', 'small', 'base', or one of Table 5, 'r50_t', 'swin_t', 'cswin_t'; or a dict of
            ``channels`` (C0, C1, C2, C3) at strides 4, 8, 16, 32, ``blocks`` (n0, n1, n2, n3) and
            ``num_stages`` (default 1). Blocks may be given per stage: (n0, (n1, n2, n3), (n1, n2,
            n3), ...). Default: 'tiny'.
        style: Decoder of every stage (section 3.2): 'fpn'; 'unet', which moves half of the blocks of
            strides 8 and 16 into the decoder; 'hourglass', which additionally has a block on each
            lateral connection. Default: 'fpn'.
        mixer: Token mixer of the blocks (section 4.4, Table 5): 'dwconv' (7x7), 'conv' (3x3, with
            BatchNorm and ReLU in the whole network but P2), 'window' (7x7 window attention) or
            'cross_window' (cross-shaped window attention). Default: the preset's; 'dwconv' for a dict.
        long_range: Use long-range blocks at stride 32 (section 3.3, Table 8). Default: True.
        final_decoder: Whether the last stage has a decoder, as in the paper's Figure 2; the authors'
            released fpn-style models omit it. Default: True.
        pyramid: ``dict(levels=(3, 4, 5, 6, 7), channels=256)``: return P3..P7 for a head; see
            :class:`Pyramid` for the possible levels. Default: None.
        out_levels: Raw features to return without a pyramid: 2 is c2 (stride 4), 3, 4, 5 are the last
            stage's levels (strides 8, 16, 32). A level that is not returned, and parameters that only
            it depends on, get no gradient. Default: (2, 3, 4, 5).
        aux_stages: Also return a level of each earlier stage, latest first, for auxiliary heads.
            Default: False.
        aux_level: Level of these outputs: 3, 4 or 5. Default: 3, for segmentation; classifiers use 5.
        drop_path_rate: Stochastic depth rate of the last block; the rates of the others increase
            linearly from 0 in the order of the forward pass, but for the blocks on the lateral
            connections of 'hourglass', which have 0. Default: 0.
        layer_scale: Initial value of the blocks' gamma: 1e-6 for detection and classification, 1.0
            for segmentation; 0 means no gamma. Only the blocks of 'dwconv' have one. Default: 1e-6.
        top_down_init: Scale of the initial weights of the decoders' 1x1 convolutions. With 1, the
            released code's, the upsampled features are larger than those that they are added to, so
            that little of the fine features is left after a few stages, and training from random
            weights starts slowly. Default: 0.1.
        frozen_stages: -1 trains everything, 0 freezes the stem, k > 0 the stem and the first k
            stages, including BatchNorm statistics. Default: -1.
        norm_eval: Keep BatchNorm in evaluation mode during training. Default: False.
        recompute: What the backward pass computes again, to save memory in training: 'none'; 'cheap':
            outputs of GELU, of a LayerNorm directly before it, and on a CPU of the MLP's second linear
            layer; 'full': everything in a block (activation checkpointing), where BatchNorm then
            updates its statistics twice per batch. With the operators in Triton, 'none' is the same
            as 'cheap'. :func:`apply_recompute` changes it later. Default: 'cheap'.
        with_cp: The same as ``recompute='full'``, by the name of mmdet's backbones. Default: False.
        in_channels: Channels of the image. Default: 3.
        init_cfg: Initialization config of mmengine. ``dict(type='Pretrained', checkpoint=...)`` loads
            the backbone's weights from a checkpoint of a classifier, detector, segmenter or backbone,
            and logs missing and unexpected keys; of a checkpoint with a moving average it loads the
            weights themselves, or with ``average=True`` the average. Default: None.
        kernels: Compute with the operators of :mod:`mmcednet.models.kernels` where these are faster
            than torch's, with the same result up to rounding; with those in Triton, and in mixed
            precision, features between blocks are of low precision, too. False: plain torch only.
            :func:`use_kernels` changes it later. Default: True.

    Attributes:
        out_channels: Channels of each feature that :meth:`forward` returns.
        out_strides: Stride of each of these features.

    Raises:
        ValueError: An argument is invalid.
    """

    def __init__(
        self,
        arch: str | dict = 'tiny',
        style: str = 'fpn',
        mixer: str | None = None,
        long_range: bool = True,
        final_decoder: bool = True,
        pyramid: dict | None = None,
        out_levels: Sequence[int] = (2, 3, 4, 5),
        aux_stages: bool = False,
        aux_level: int = 3,
        drop_path_rate: float = 0.0,
        layer_scale: float = 1e-6,
        top_down_init: float = 0.1,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        recompute: str = 'cheap',
        with_cp: bool = False,
        in_channels: int = 3,
        init_cfg: dict | None = None,
        kernels: bool = True,
    ) -> None:
        super().__init__(init_cfg)
        channels, stem_blocks, depths = parse_arch(arch)
        mixer = choose_mixer(arch) if mixer is None else mixer
        decoder_style = STYLES[check_choice('style', style, STYLES)]
        design = Design(MIXERS[check_choice('mixer', mixer, MIXERS)], channels, long_range, layer_scale)
        check_numbers(frozen_stages, len(depths), in_channels, aux_level)
        check_scales(layer_scale=layer_scale, top_down_init=top_down_init)
        check_choice('recompute', recompute, RECOMPUTE)

        self.stem = Stem(in_channels, design, stem_blocks)
        stages = [
            Stage(design, blocks, decoder_style, has_decoder=final_decoder or number < len(depths))
            for number, blocks in enumerate(depths, 1)
        ]
        self.stages = nn.ModuleList(stages)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.aux_stages = aux_stages
        self.aux_level = aux_level
        self.pyramid = build_outputs(design, pyramid, out_levels)
        num_aux = len(stages) - 1 if aux_stages else 0
        self.out_channels = self.pyramid.out_channels + (channels[aux_level],) * num_aux
        self.out_strides = tuple(2**level for level in self.pyramid.levels + (aux_level,) * num_aux)

        self._init_layers(top_down_init)
        groups = [self.stem.blocks] + [group for stage in stages for group in stage.list_groups()]
        blocks = [block for group in groups for block in group]
        # without a final decoder, the rates are those of a network that has one
        number = stem_blocks + sum(sum(each.values()) for each in depths)
        set_drop_path(blocks, drop_path_rate, number)
        apply_recompute(self, 'full' if with_cp else recompute)
        use_kernels(self, kernels)
        replace_strided_convolutions(self)
        self._freeze()

    def _init_layers(self, top_down_init: float) -> None:
        self.apply(init_layer)
        self.stem.init_first_bias()
        for module in self.modules():
            if isinstance(module, Decoder):
                module.scale_top_down(top_down_init)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of images.

        Args:
            x: Images (N, ``in_channels``, H, W), H and W at least 32 pixels, of the weights' dtype.

        Returns:
            (N, ``out_channels[i]``, H / ``out_strides[i]``, W / ``out_strides[i]``) for each i, all of
            one dtype: float32, if mixed precision would leave some in float32 and others not.

        Raises:
            ValueError: ``x`` has another shape or the images are smaller than 32x32; or BatchNorm, in
                training, gets one value per channel: of one image whose coarsest level is 1x1.
        """
        self._check_images(x)
        c2, x = self.stem(x)
        stages = []
        for stage in self.stages:
            features = stage(x)
            stages.append(features)
            x = features[3]

        outs = self.pyramid({2: c2, **features})
        if self.aux_stages:
            outs += tuple(earlier[self.aux_level] for earlier in reversed(stages[:-1]))
        return unify_levels(outs)

    def _check_images(self, x: Tensor) -> None:
        in_channels = self.stem.conv1.in_channels
        if x.ndim != 4 or x.shape[1] != in_channels:
            raise ValueError(
                f'the images have the shape {tuple(x.shape)}; CEDNet needs (N, {in_channels}, H, W)'
            )
        if min(x.shape[-2:]) < MIN_SIZE:
            raise ValueError(
                f'the images are {x.shape[-2]}x{x.shape[-1]} pixels; '
                f'CEDNet needs at least {MIN_SIZE}x{MIN_SIZE}'
            )

    def train(self, mode: bool = True) -> 'CEDNet':
        """Set the mode; frozen stages, and BatchNorm with ``norm_eval``, stay in evaluation mode."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        self._freeze()
        return self

    def get_decay_depth(self, name: str, decay_type: str) -> int | None:
        """Depth of a parameter for layer-wise learning-rate decay, from 0 at the image.

        Args:
            name: Name of the parameter, without 'backbone.'.
            decay_type: 'coarse': the stem's convolutions (0), its blocks and the convolution to stride
                8 (1), each cascade stage (2, 3, ...). 'fine': the same, but two depths per stage, the
                second from its fifth block at stride 16 on.

        Returns:
            The depth; None for the pyramid, which has the learning rate of the heads.

        Raises:
            ValueError: The backbone has no such parameter, or ``decay_type`` is unknown.
        """
        check_choice('decay_type', decay_type, DECAY_TYPES)
        try:
            self.get_parameter(name)
        except AttributeError:
            raise ValueError(f'{type(self).__name__} has no parameter {name!r}') from None
        part, _, rest = name.partition('.')
        if part == 'pyramid':
            return None
        if part == 'stem':
            return self.stem.get_decay_depth(rest)
        index, _, rest = rest.partition('.')
        if decay_type == 'coarse':
            return 2 + int(index)
        return 2 + 2 * int(index) + (not Stage.is_in_first_half(rest))

    def _freeze(self) -> None:
        frozen = [self.stem, *self.stages][: self.frozen_stages + 1]
        for module in frozen:
            module.eval()
            module.requires_grad_(False)


def check_numbers(frozen_stages: int, num_stages: int, in_channels: int, aux_level: int) -> None:
    """Raise a ValueError if one of these arguments of :class:`CEDNet` is invalid."""
    if not are_integers([frozen_stages], 1, minimum=-1) or frozen_stages > num_stages:
        raise ValueError(f'frozen_stages {frozen_stages} must be -1 to {num_stages}')
    if not are_integers([in_channels], 1, minimum=1):
        raise ValueError(f'in_channels {in_channels} must be a positive integer')
    if not are_integers([aux_level], 1, minimum=3) or aux_level > 5:
        raise ValueError(f'aux_level {aux_level} must be 3, 4 or 5')


def check_scales(**scales: float) -> None:
    """Raise a ValueError if one of the initial scales is invalid."""
    for name, value in scales.items():
        if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f'{name} {value} must be a finite number, 0 or more')


def build_outputs(
    design: Design, pyramid: dict | None, out_levels: Sequence[int]
) -> Pyramid | RawLevels:
    """Build what turns the levels into the network's outputs; see :class:`CEDNet`."""
    if pyramid is None:
        return RawLevels(design.channels, out_levels)
    if not isinstance(pyramid, dict) or not set(pyramid) <= {'levels', 'channels'}:
        raise ValueError(f'pyramid {pyramid!r} must be a dict of levels and channels, or None')
    return Pyramid(design.channels, norm=design.mixer.norm, **pyramid)
