"""CEDNet: a cascade encoder-decoder backbone for dense prediction (paper, section 3, Figure 2)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .blocks import MIXERS, RECOMPUTE, BlockFactory
from .layers import build_downsample, compute
from .pretrained import PretrainedBackbone
from .pyramid import Pyramid
from .stage import STYLES, Decoder, Stage
from .utils import are_integers, check_choice, init_layer

STEM_CHANNELS = 32
MIN_SIZE = 32
DECAY_TYPES = ('coarse', 'fine')


class Arch(NamedTuple):
    """Channels and depths of a CEDNet."""

    channels: tuple[int, int, int, int]  # at strides 4, 8, 16, 32
    stem_blocks: int
    stages: tuple[tuple[int, int, int], ...]  # number of blocks at strides 8, 16, 32, per stage


ARCHS = {
    'tiny': dict(channels=(96, 192, 352, 512), blocks=(3, 2, 4, 2), num_stages=3),
    'small': dict(channels=(96, 192, 352, 512), blocks=(3, 2, 7, 2), num_stages=4),
    'base': dict(channels=(128, 256, 448, 704), blocks=(3, 2, 7, 2), num_stages=4),
    'r50_t': dict(channels=(64, 128, 256, 384), blocks=(3, 1, 4, 2), num_stages=3),
    'swin_t': dict(channels=(96, 160, 288, 416), blocks=(3, 2, 4, 2), num_stages=3),
    'cswin_t': dict(channels=(64, 128, 256, 320), blocks=(3, 2, 8, 1), num_stages=3),
}
ARCH_MIXERS = {'r50_t': 'conv', 'swin_t': 'window', 'cswin_t': 'cross_window'}


def parse_arch(arch: str | dict) -> Arch:
    """Turn a preset's name, or a dict, into an :class:`Arch`; see :class:`CEDNet`."""
    if isinstance(arch, str):
        arch = ARCHS[check_choice('arch', arch, ARCHS)]
    keys = {'channels', 'blocks', 'num_stages'}
    if not isinstance(arch, dict) or not {'channels', 'blocks'} <= set(arch) <= keys:
        raise ValueError(
            f'arch {arch!r} must be one of {", ".join(ARCHS)} or a dict of channels, blocks, num_stages'
        )
    channels, blocks = to_tuple(arch['channels']), to_tuple(arch['blocks'])
    stem_blocks, *rest = blocks if isinstance(blocks, tuple) and blocks else (None,)
    per_stage = any(isinstance(item, tuple) for item in rest)
    num_stages = arch.get('num_stages', len(rest) if per_stage else 1)
    if not are_integers(channels, 4, minimum=1):
        raise ValueError(f'arch channels {channels} must be four positive integers')
    if not are_integers([num_stages], 1, minimum=1) or (per_stage and num_stages != len(rest)):
        raise ValueError(
            f'arch num_stages {num_stages} must be 1 or more and match the blocks, {blocks}'
        )
    stages = tuple(rest) if per_stage else (tuple(rest),) * num_stages
    if not are_integers([stem_blocks], 1) or not all(are_integers(stage, 3) for stage in stages):
        raise ValueError(
            f'arch blocks {blocks} must be (n0, n1, n2, n3), or n0 and one (n1, n2, n3) per stage'
        )
    return Arch(channels, stem_blocks, stages)


def to_tuple(value: Any) -> Any:
    """Convert lists to tuples, at all depths."""
    return tuple(map(to_tuple, value)) if isinstance(value, (list, tuple)) else value


class Stem(nn.Module):
    """Two strided convolutions and blocks give c2 at stride 4; a third convolution goes to stride 8.

    Args:
        in_channels: Channels of the image.
        factory: Builds the blocks.
        blocks: Number n0 of blocks at stride 4.
    """

    def __init__(self, in_channels: int, factory: BlockFactory, blocks: int) -> None:
        super().__init__()
        c2, c3, norm = factory.channels[2], factory.channels[3], factory.mixer.norm
        self.conv1 = nn.Conv2d(in_channels, STEM_CHANNELS, 3, stride=2, padding=1)
        self.norm1 = norm(STEM_CHANNELS)
        self.conv2 = nn.Conv2d(STEM_CHANNELS, c2, 3, stride=2, padding=1)
        self.norm2 = norm(c2)
        self.act = factory.mixer.act()
        # BatchNorm would update its statistics twice
        self.run = compute if isinstance(self.norm1, _BatchNorm) else factory.run
        self.blocks = factory.build_group(2, blocks)
        self.downsample = build_downsample(c2, c3, norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> c2 (N, C0, H/4, W/4) and the first stage's input (N, C1, H/8, W/8)."""
        x = self.run(lambda x: self.act(self.norm1(x)), self.conv1(x))
        x = self.run(lambda x: self.act(self.norm2(x)), self.conv2(x))
        c2 = self.blocks(x)
        return c2, self.downsample(c2)

    def init_first_bias(self) -> None:
        """Initialise the first convolution's bias: torch's default, uniform in 1 / sqrt(fan_in).

        With a bias of 0, constant parts of an image whose value is 0, such as padding, are 0 in all
        layers, where each LayerNorm multiplies the gradient by 1 / sqrt(eps) = 1000. BatchNorm, which
        removes a bias, keeps 0: its statistics are those of the whole batch.
        """
        bias = self.conv1.bias
        if bias is not None and not isinstance(self.norm1, _BatchNorm):
            bound = self.conv1.weight[0].numel() ** -0.5
            nn.init.uniform_(bias, -bound, bound)

    @staticmethod
    def get_decay_depth(name: str) -> int:
        """Depth of a parameter, given its name within the stem.

        It is 0 for the first two convolutions and their norms, 1 for the rest.
        """
        return 0 if name.startswith(('conv', 'norm')) else 1


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
            BatchNorm and ReLU in the whole network), 'window' (7x7 window attention) or
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
            linearly from 0 in the order of the forward pass. Default: 0.
        layer_scale: Initial value of the blocks' gamma: 1e-6 for detection and classification, 1.0
            for segmentation; 0 means no gamma. Default: 1e-6.
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
            updates its statistics twice per batch. On a CPU, 'cheap' has no second derivatives.
            Default: 'cheap'.
        with_cp: The same as ``recompute='full'``, by the name of mmdet's backbones. Default: False.
        in_channels: Channels of the image. Default: 3.
        init_cfg: Initialization config of mmengine. ``dict(type='Pretrained', checkpoint=...)`` loads
            the backbone's weights from a checkpoint of a classifier, detector, segmenter or backbone,
            and logs missing and unexpected keys; of a checkpoint with a moving average it loads the
            weights themselves, or with ``average=True`` the average. Default: None.

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
    ) -> None:
        super().__init__(init_cfg)
        channels, stem_blocks, stages = parse_arch(arch)
        if mixer is None:
            mixer = ARCH_MIXERS.get(arch, 'dwconv') if isinstance(arch, str) else 'dwconv'
        mixer_spec = MIXERS[check_choice('mixer', mixer, MIXERS)]
        decoder_style = STYLES[check_choice('style', style, STYLES)]
        if not are_integers([frozen_stages], 1, minimum=-1) or frozen_stages > len(stages):
            raise ValueError(f'frozen_stages {frozen_stages} must be -1 to {len(stages)}')
        if not are_integers([in_channels], 1, minimum=1):
            raise ValueError(f'in_channels {in_channels} must be a positive integer')
        if not isinstance(drop_path_rate, (int, float)) or not 0 <= drop_path_rate < 1:
            raise ValueError(f'drop_path_rate {drop_path_rate} must be in [0, 1)')
        for name, value in (('layer_scale', layer_scale), ('top_down_init', top_down_init)):
            if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ValueError(f'{name} {value} must be a finite number, 0 or more')
        if not are_integers([aux_level], 1, minimum=3) or aux_level > 5:
            raise ValueError(f'aux_level {aux_level} must be 3, 4 or 5')
        recompute = 'full' if with_cp else check_choice('recompute', recompute, RECOMPUTE)
        num_blocks = stem_blocks + sum(map(sum, stages))
        rates = torch.linspace(0, drop_path_rate, num_blocks, device='cpu').tolist()
        factory = BlockFactory(mixer_spec, channels, long_range, rates, layer_scale, recompute)

        self.stem = Stem(in_channels, factory, stem_blocks)
        self.stages = nn.ModuleList(
            Stage(factory, blocks, decoder_style, has_decoder)
            for blocks, has_decoder in zip(stages, [True] * (len(stages) - 1) + [final_decoder])
        )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.aux_stages = aux_stages
        self.aux_level = aux_level
        self._set_outputs(channels, pyramid, out_levels, mixer_spec.norm)
        self.apply(init_layer)
        self.stem.init_first_bias()
        for module in self.modules():
            if isinstance(module, Decoder):
                module.scale_top_down(top_down_init)
        self._freeze()

    def _set_outputs(
        self,
        channels: tuple[int, ...],
        pyramid: dict | None,
        out_levels: Sequence[int],
        norm: Callable[[int], nn.Module],
    ) -> None:
        """Build the pyramid, if any, and set out_channels and out_strides."""
        self.pyramid: Pyramid | None
        if pyramid is not None:
            if not isinstance(pyramid, dict) or not set(pyramid) <= {'levels', 'channels'}:
                raise ValueError(f'pyramid {pyramid!r} must be a dict of levels and channels, or None')
            self.pyramid = Pyramid(channels, norm=norm, **pyramid)
            self.out_levels = self.pyramid.levels
            out_channels = (self.pyramid.channels,) * len(self.out_levels)
        else:
            self.pyramid = None
            levels = tuple(out_levels) if isinstance(out_levels, Sequence) else ()
            integers = levels and are_integers(levels, len(levels), minimum=2)
            if not integers or max(levels) > 5 or len(set(levels)) != len(levels):
                raise ValueError(f'out_levels {out_levels} must be distinct levels among 2, 3, 4, 5')
            self.out_levels = levels
            out_channels = tuple(channels[level - 2] for level in levels)
        num_aux = len(self.stages) - 1 if self.aux_stages else 0
        self.out_channels = out_channels + (channels[self.aux_level - 2],) * num_aux
        levels = self.out_levels + (self.aux_level,) * num_aux
        self.out_strides = tuple(2**level for level in levels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of images.

        Args:
            x: Images (N, ``in_channels``, H, W), H and W at least 32 pixels, of the weights' dtype.

        Returns:
            (N, ``out_channels[i]``, H / ``out_strides[i]``, W / ``out_strides[i]``) for each i.

        Raises:
            ValueError: ``x`` has another shape or the images are smaller than 32x32; or BatchNorm, in
                training, gets one value per channel: of one image whose coarsest level is 1x1.
        """
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
        c2, x = self.stem(x)
        aux = []
        for stage in self.stages:
            features = stage(x)
            x = features[0]
            aux.append(features[self.aux_level - 3])

        if self.pyramid is not None:
            outs = self.pyramid(c2, features)
        else:
            levels = (c2, *features)
            outs = tuple(levels[level - 2] for level in self.out_levels)
        if self.aux_stages:
            outs += tuple(aux[-2::-1])
        # mmcv's RoIAlign misreads tensors that are not contiguous, such as channels-last views.
        return tuple(out.contiguous() for out in outs)

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
