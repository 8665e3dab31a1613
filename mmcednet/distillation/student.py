"""The network that learns."""

from pathlib import Path

from mmcednet.config_files import get_type, read_config
from mmcednet.models.arch import ARCHS
from mmcednet.models.utils import check_choice

NANO = 'nano'
NANO_CONFIG = '_base_/backbones/cednet_nano.py'
# What a distillation does without: regularisation, and outputs for heads
PLAIN = dict(
    pyramid=None, aux_stages=False, drop_path_rate=0.0, frozen_stages=-1, norm_eval=False, init_cfg=None
)


def choose_backbone_config(arch: str, config: str | None, configs: Path) -> dict:
    """The config of the CEDNet that learns.

    Args:
        arch: One of the presets, or 'nano': the network of configs/_base_/backbones/cednet_nano.py.
        config: Config of any toolbox, whose backbone is taken in place of ``arch``.
        configs: This project's ``configs/``.

    Raises:
        ValueError: ``arch`` is unknown, or the config does not exist or has another backbone.
    """
    if config is not None:
        backbone = read_config(config).get('model', {}).get('backbone')
        if get_type(backbone) != 'CEDNet':
            raise ValueError(f'{config} has no model with a backbone of type CEDNet')
    elif check_choice('--arch', arch, [NANO, *ARCHS]) == NANO:
        backbone = read_config(str(configs / NANO_CONFIG)).cednet_nano
    else:
        backbone = dict(type='CEDNet', arch=arch)
    return dict(backbone, **PLAIN)
