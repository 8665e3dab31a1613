"""The networks that are compared. Widths are such that parameters and multiply-adds are equal.

Of the networks of CEDNet-T's size, ConvNeXt-T with FPN is as published: 4 % fewer parameters and 10 %
fewer multiply-adds than CEDNet-T with its pyramid.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

LEVELS = (3, 4, 5, 6, 7)
# Channels of pyramids and heads, by the size of the network: an arch of tools/new_config.py
WIDTHS = {'nano': 48, 'tiny': 256}
REFERENCE = 'convnext_fpn'
MAIN = (REFERENCE, 'cednet_m1', 'cednet_m3')


class Network(NamedTuple):
    """A backbone and its neck, as configs of mmdet.

    Attributes:
        title: Name in tables and figures.
        backbone: Config of the backbone.
        neck: Config of the neck.
        raw_channels: Channels at strides 4, 8, 16, 32 where there is no neck, if they differ: without
            it, other channels make the cost equal.
        size: A key of ``WIDTHS``.
    """

    title: str
    backbone: dict[str, Any]
    neck: dict[str, Any] | None
    raw_channels: tuple[int, ...] = ()
    size: str = 'nano'

    def get_title(self, framework: str) -> str:
        """The title, without the FPN that a segmenter does not get: its head has a pyramid."""
        return self.title.replace(' + FPN', '') if framework == 'upernet' else self.title

    def get_raw_backbone(self) -> dict[str, Any]:
        """The backbone with its features of strides 4 to 32, for a segmenter."""
        arch = dict(self.backbone['arch'])
        if self.raw_channels:
            arch['channels'] = self.raw_channels
        if self.backbone['type'] == 'CEDNet':
            return dict(self.backbone, arch=arch, pyramid=None)
        return dict(self.backbone, arch=arch, out_indices=(0, 1, 2, 3))


def make_cednet(
    title: str,
    channels: Sequence[int],
    *blocks: Any,
    layer_scale: float = 1.0,
    size: str = 'nano',
    **settings: Any,
) -> Network:
    """CEDNet with a pyramid: one block in the stem, then ``blocks`` (n1, n2, n3) per stage."""
    arch = dict(channels=tuple(channels), blocks=(settings.pop('stem_blocks', 1), *blocks))
    pyramid = dict(levels=LEVELS, channels=WIDTHS[size])
    backbone = dict(type='CEDNet', arch=arch, pyramid=pyramid, layer_scale=layer_scale, **settings)
    return Network(title, backbone, None, size=size)


def make_convnext(
    title: str,
    channels: Sequence[int],
    neck: dict[str, Any],
    depths: Sequence[int] = (1, 3, 6, 3),
    layer_scale: float = 1.0,
    size: str = 'nano',
) -> Network:
    """ConvNeXt, as mmpretrain has it, with a neck on strides 8 to 32."""
    backbone = dict(
        type='mmpretrain.ConvNeXt',
        arch=dict(depths=list(depths), channels=list(channels)),
        out_indices=(1, 2, 3),
        gap_before_final_norm=False,
        layer_scale_init_value=layer_scale,
    )
    neck = dict(neck, in_channels=list(channels[1:]), out_channels=WIDTHS[size])
    return Network(title, backbone, neck, size=size)


def make_plain(title: str, channels: Sequence[int], *blocks: Any, **settings: Any) -> Network:
    """The encoder of one CEDNet stage with FPN: stem and blocks of CEDNet, without its fusion."""
    backbone = make_cednet(title, channels, *blocks, **settings).backbone
    backbone.update(pyramid=None, out_levels=(3, 4, 5), final_decoder=False, long_range=False)
    neck = dict(FPN, in_channels=list(channels[1:]), out_channels=WIDTHS['nano'])
    return Network(title, backbone, neck)


FPN = dict(type='FPN', num_outs=len(LEVELS), add_extra_convs='on_output')
# torch's momentum of BN, as NAS-FPN has: with EfficientDet's, a few hundred iterations are too few
BIFPN = dict(type='BiFPN', num_layers=3, momentum=0.1)
NASFPN = dict(type='NASFPN', num_outs=len(LEVELS), stack_times=2, norm_cfg=dict(type='BN'))
TINY: dict[str, Any] = dict(layer_scale=1e-6, size='tiny')
TWO = (20, 40, 72, 128)  # of all two-stage networks of Table 4
NETWORKS = {
    'convnext_fpn': make_convnext('ConvNeXt + FPN', (28, 40, 72, 136), FPN)._replace(
        raw_channels=(28, 44, 76, 136)
    ),
    'convnext_fpn_scale_1e-6': make_convnext(
        'ConvNeXt + FPN, layer scale 1e-6', (28, 40, 72, 136), FPN, layer_scale=1e-6
    )._replace(raw_channels=(28, 44, 76, 136)),
    'convnext_bifpn': make_convnext('ConvNeXt + BiFPN', (20, 52, 72, 132), BIFPN),
    'convnext_nasfpn': make_convnext('ConvNeXt + NAS-FPN', (20, 40, 72, 144), NASFPN, (1, 3, 4, 2)),
    'plain_fpn': make_plain("CEDNet's blocks + FPN", (16, 40, 76, 136), (3, 5, 3)),
    'cednet_m1': make_cednet('CEDNet, 1 stage', (24, 40, 72, 136), (3, 6, 3)),
    'cednet_m1_scale_1e-6': make_cednet(
        'CEDNet, 1 stage, layer scale 1e-6', (24, 40, 72, 136), (3, 6, 3), layer_scale=1e-6
    ),
    'cednet_m2': make_cednet('CEDNet, 2 stages', (20, 40, 76, 124), (2, 3, 1), (1, 3, 2)),
    'cednet_m3': make_cednet('CEDNet, 3 stages', (20, 40, 72, 120), *[(1, 2, 1)] * 3),
    'cednet_m3_scale_1e-6': make_cednet(
        'CEDNet, 3 stages, layer scale 1e-6', (20, 40, 72, 120), *[(1, 2, 1)] * 3, layer_scale=1e-6
    ),
    'cednet_m4': make_cednet('CEDNet, 4 stages', (24, 40, 64, 116), *[(1, 1, 1)] * 4),
    'fusion_1_6': make_cednet('CEDNet, fusion after 1/6', TWO, (1, 1, 0), (2, 5, 3)),
    'fusion_2_6': make_cednet('CEDNet, fusion after 2/6', TWO, (1, 2, 1), (2, 4, 2)),
    'fusion_4_6': make_cednet('CEDNet, fusion after 4/6', TWO, (2, 4, 2), (1, 2, 1)),
    'fusion_5_6': make_cednet('CEDNet, fusion after 5/6', TWO, (2, 5, 3), (1, 1, 0)),
    'unet': make_cednet('CEDNet, UNet style', (20, 40, 72, 120), *[(1, 2, 1)] * 3, style='unet'),
    'hourglass': make_cednet(
        'CEDNet, Hourglass style', (16, 32, 60, 120), *[(1, 2, 1)] * 3, style='hourglass'
    ),
    'without_long_range': make_cednet(
        'CEDNet without long-range blocks', (20, 40, 72, 124), *[(1, 2, 1)] * 3, long_range=False
    ),
    'cednet_conv': make_cednet('CEDNet, mixer conv', (20, 32, 48, 96), *[(1, 2, 1)] * 3, mixer='conv'),
    'plain_conv': make_plain('conv blocks + FPN', (16, 32, 48, 104), (3, 5, 3), mixer='conv'),
    'cednet_window': make_cednet(
        'CEDNet, mixer window', (24, 32, 64, 120), *[(1, 1, 1)] * 3, stem_blocks=0, mixer='window'
    ),
    'plain_window': make_plain(
        'window blocks + FPN', (20, 32, 60, 128), (2, 4, 3), stem_blocks=0, mixer='window'
    ),
    'cednet_cross': make_cednet(
        'CEDNet, mixer cross_window',
        (20, 40, 64, 120),
        *[(1, 1, 1)] * 3,
        stem_blocks=0,
        mixer='cross_window',
    ),
    'plain_cross': make_plain(
        'cross_window blocks + FPN', (20, 32, 72, 120), (2, 4, 3), stem_blocks=0, mixer='cross_window'
    ),
    # with two blocks or more per level and stage
    'cednet_wide_m1': make_cednet(
        'CEDNet, 1 stage, wide', (32, 72, 132, 208), (6, 6, 6), stem_blocks=2
    ),
    'cednet_wide_m2': make_cednet(
        'CEDNet, 2 stages, wide', (32, 72, 132, 196), *[(3, 3, 3)] * 2, stem_blocks=2
    ),
    'cednet_wide_m3': make_cednet(
        'CEDNet, 3 stages, wide', (32, 72, 128, 192), *[(2, 2, 2)] * 3, stem_blocks=2
    ),
    'convnext_tiny': make_convnext('ConvNeXt-T + FPN', (96, 192, 384, 768), FPN, (3, 3, 9, 3), **TINY),
    'cednet_tiny_m1': make_cednet(
        'CEDNet-T, 1 stage', (96, 192, 360, 544), (6, 12, 6), stem_blocks=3, **TINY
    ),
    'cednet_tiny_m2': make_cednet(
        'CEDNet-T, 2 stages', (96, 192, 352, 536), *[(3, 6, 3)] * 2, stem_blocks=3, **TINY
    ),
    'cednet_tiny_m3': make_cednet(
        'CEDNet-T, 3 stages', (96, 192, 352, 512), *[(2, 4, 2)] * 3, stem_blocks=3, **TINY
    ),
}
