from collections.abc import Callable

import pytest
import torch
from small_models import SHAPES, save_random_model

from mmcednet.inference.predict import Predictor, load_predictor

NO_MASKS = dict(mask_head=None, mask_roi_extractor=None)
ONE_STAGE = dict(channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1), num_stages=1)
SMALL = dict(arch=dict(_delete_=True, **ONE_STAGE))
# Name -> the framework, whose nano model is changed, and the changes
VARIANTS = {
    'faster_rcnn': ('mask_rcnn', dict(type='FasterRCNN', roi_head=NO_MASKS)),
    'cascade_rcnn': (
        'cascade_mask_rcnn',
        dict(backbone=dict(SMALL, style='unet'), roi_head=NO_MASKS),
    ),
    'deformable_detr': ('deformable_detr', dict(backbone=SMALL)),
    'refining_detr': ('deformable_detr', dict(backbone=SMALL, as_two_stage=False)),
    'one_stage_detr': (
        'deformable_detr',
        dict(backbone=SMALL, as_two_stage=False, with_box_refine=False),
    ),
    'hourglass_upernet': (
        'upernet',
        dict(
            backbone=dict(SMALL, style='hourglass', aux_stages=False),
            decode_head=dict(in_channels=ONE_STAGE['channels']),
            auxiliary_head=None,
        ),
    ),
    'imagenet': ('imagenet', dict(backbone=SMALL, head=dict(in_channels=32, num_stages=1))),
    'linear_head': (
        'imagenet',
        dict(
            backbone=SMALL,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(_delete_=True, type='LinearClsHead', num_classes=4, in_channels=32),
        ),
    ),
}


@pytest.fixture(scope='session')
def load_model(root, tmp_path_factory) -> Callable[[str], Predictor]:
    """Load a trained example, or a nano model with random weights: of a framework, or a variant."""
    loaded = {}
    folder = tmp_path_factory.mktemp('models')

    def load(name: str) -> Predictor:
        if name not in loaded:
            example = root / 'examples' / name
            if example.is_dir():
                (checkpoint,) = example.glob('*.safetensors')
                loaded[name] = load_predictor(str(example / 'config.py'), str(checkpoint), 'cpu')
            else:
                framework, changes = VARIANTS.get(name, (name, {}))
                base = root / 'configs' / framework / 'cednet_nano_shapes.py'
                config = folder / f'{name}.py'
                config.write_text(f'_base_ = {str(base)!r}\nmodel = {changes!r}\n')
                meta = {} if framework == 'upernet' else dict(classes=SHAPES)
                checkpoint = save_random_model(config, folder / f'{name}.pth', **meta)
                loaded[name] = load_predictor(str(config), str(checkpoint), 'cpu')
                change_weights(loaded[name].inferencer.model)
        return loaded[name]

    return load


def change_weights(model: torch.nn.Module) -> None:
    """Make all weights random: some are 0 at first, such as those of DETR's offsets."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
