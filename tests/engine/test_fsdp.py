"""FSDP: its units, and the configs that cannot be trained with it."""

import pytest
from mmengine.config import Config
from torch import nn

from mmcednet.engine import launch
from mmcednet.engine.fsdp import wrap_ced_blocks
from mmcednet.models import CEDNet
from mmcednet.models.blocks import MIXERS, Blocks


@pytest.mark.parametrize('mixer', MIXERS)
def test_the_blocks_of_every_mixer_are_the_units(mixer):
    arch = dict(channels=(32, 64, 160, 160), blocks=(1, 1, 2, 1), num_stages=2)
    model = nn.Sequential(CEDNet(arch, mixer=mixer), nn.Linear(2, 2))
    blocks = [block for part in model.modules() if isinstance(part, Blocks) for block in part]
    units = [part for part in model.modules() if wrap_ced_blocks(part, False, 0)]
    assert set(units) == set(blocks) != set()
    assert all(wrap_ced_blocks(part, True, 0) for part in model.modules())


def test_the_best_checkpoint_is_refused(root):
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t_fsdp.py')
    cfg.launcher = 'pytorch'
    cfg.default_hooks.checkpoint.save_best = 'coco/bbox_mAP'
    with pytest.raises(ValueError, match="save_best='coco/bbox_mAP' must be None with FlexibleRunner"):
        launch.build_runner(cfg)
