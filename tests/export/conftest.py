from collections.abc import Callable

import pytest
import torch
from small_models import SHAPES, save_random_model

from mmcednet.inference.predict import Predictor, load_predictor

NO_MASKS = dict(mask_head=None, mask_roi_extractor=None)


def make_segmenter(channels: tuple[int, ...], **backbone: object) -> dict:
    """Changes to UPerNet's nano model, with two blocks per level, of which one may be shifted."""
    arch = dict(_delete_=True, channels=channels, blocks=(2, 2, 2, 1), num_stages=2)
    backbone.update(arch=arch, aux_stages=False)
    head = dict(in_channels=channels, channels=16, pool_scales=(1, 2))
    return dict(backbone=backbone, decode_head=head, auxiliary_head=None)


# Name -> the framework, whose nano model is changed, and the changes
VARIANTS = {
    'faster_rcnn': ('mask_rcnn', dict(type='FasterRCNN', roi_head=NO_MASKS)),
    'cascade_rcnn': ('cascade_mask_rcnn', dict(roi_head=NO_MASKS)),
    'one_stage_detr': ('deformable_detr', dict(as_two_stage=False, with_box_refine=False)),
    'refining_detr': ('deformable_detr', dict(as_two_stage=False)),
    'linear_head': (
        'imagenet',
        dict(
            backbone=dict(aux_stages=False),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(_delete_=True, type='LinearClsHead', num_classes=4, in_channels=96),
        ),
    ),
    'fpn_conv': ('upernet', make_segmenter((8, 16, 16, 24), mixer='conv')),
    'unet_window': ('upernet', make_segmenter((32, 32, 32, 32), style='unet', mixer='window')),
    'hourglass_cross_window': (
        'upernet',
        make_segmenter((8, 16, 16, 20), style='hourglass', mixer='cross_window'),
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
