"""The networks that are compared. Widths are such that parameters and multiply-adds are equal."""

from collections.abc import Sequence
from typing import Any, NamedTuple

LEVELS = (3, 4, 5, 6, 7)
WIDTH = 48  # channels of pyramids and heads
REFERENCE = 'convnext_fpn'
MAIN = (REFERENCE, 'cednet_m1', 'cednet_m3')


class Network(NamedTuple):
    """A backbone and its neck, as configs of mmdet."""

    title: str
    backbone: dict[str, Any]
    neck: dict[str, Any] | None

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at strides 4, 8, 16, 32."""
        return tuple(self.backbone['arch']['channels'])

    def get_raw_backbone(self) -> dict[str, Any]:
        """The backbone with its features of strides 4 to 32, for a segmenter."""
        if self.backbone['type'] == 'CEDNet':
            return dict(self.backbone, pyramid=None)
        return dict(self.backbone, out_indices=(0, 1, 2, 3))


def make_cednet(title: str, channels: Sequence[int], *blocks: Any, **settings: Any) -> Network:
    """CEDNet with a pyramid: one block in the stem, then ``blocks`` (n1, n2, n3) per stage."""
    arch = dict(channels=tuple(channels), blocks=(settings.pop('stem_blocks', 1), *blocks))
    pyramid = dict(levels=LEVELS, channels=WIDTH)
    return Network(
        title, dict(type='CEDNet', arch=arch, pyramid=pyramid, layer_scale=1.0, **settings), None
    )


def make_convnext(
    title: str, channels: Sequence[int], neck: dict[str, Any], depths: Sequence[int] = (1, 3, 6, 3)
) -> Network:
    """ConvNeXt, as mmpretrain has it, with a neck on strides 8 to 32."""
    backbone = dict(
        type='mmpretrain.ConvNeXt',
        arch=dict(depths=list(depths), channels=list(channels)),
        out_indices=(1, 2, 3),
        gap_before_final_norm=False,
        layer_scale_init_value=1.0,
    )
    return Network(title, backbone, dict(neck, in_channels=list(channels[1:]), out_channels=WIDTH))


FPN = dict(type='FPN', num_outs=len(LEVELS), add_extra_convs='on_output')
NETWORKS = {
    'convnext_fpn': make_convnext('ConvNeXt + FPN', (28, 40, 72, 136), FPN),
    'cednet_m1': make_cednet('CEDNet, 1 stage', (24, 40, 72, 136), (3, 6, 3)),
    'cednet_m3': make_cednet('CEDNet, 3 stages', (20, 40, 72, 120), *[(1, 2, 1)] * 3),
}
