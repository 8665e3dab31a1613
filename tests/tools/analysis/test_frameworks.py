"""docs/frameworks.md has every framework, and what it says is still so."""

from pathlib import Path

import pytest
from framework_tests.table import (
    SMALL,
    ZOOS,
    find_error,
    list_tried_folders,
    render_row,
    try_frameworks,
)
from mmengine.config import Config

from mmcednet.config_files import find_config_folder
from mmcednet.use_cednet.config import use_cednet

ROOT = Path(__file__).resolve().parents[3]

# One of each kind: pyramids, kept necks, lists of necks, raw levels, dilated backbones, classifiers, a
# detector in another model, and those that cannot
SELECTION = {
    'mmdet': ('fcos', 'faster_rcnn', 'yolof', 'libra_rcnn', 'yolo', 'detr', 'dino', 'mask2former')
    + ('deepsort', 'cornernet', 'common'),
    'mmseg': ('upernet', 'deeplabv3plus', 'fastfcn', 'mask2former', 'unet'),
    'mmpretrain': ('resnet', 'vision_transformer'),
}


@pytest.fixture(scope='module')
def page():
    return (ROOT / 'docs' / 'frameworks.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('zoo', ZOOS)
def test_page_lists_every_folder(zoo, page):
    section = page.split(f'\n## {ZOOS[zoo]}\n')[1].split('\n## ')[0]
    listed = {line.split(' | ')[0].removeprefix('| ') for line in section.splitlines()}
    assert set(list_tried_folders(zoo)) <= listed


@pytest.mark.slow
def test_page_is_up_to_date(page):
    frameworks = [(zoo, folder) for zoo, folders in SELECTION.items() for folder in folders]
    lines = [render_row(row) for row in try_frameworks(frameworks)]
    assert [line for line in lines if line not in page] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, None),
        (
            {'model.backbone.pyramid.levels': (2, 3, 4, 5, 6)},
            'ValueError: the bbox_head expects levels',
        ),
        ({'model.bbox_head.in_channels': 99}, 'ValueError: the bbox_head expects 99 channels'),
        ({'model.bbox_head.loss_cls.loss_weight': float('nan')}, 'ValueError: the loss is not finite'),
    ],
)
def test_errors_are_found(changes, message, tmp_path):
    base = find_config_folder('mmdet') / 'atss' / 'atss_r50_fpn_1x_coco.py'
    use_cednet(str(base), tmp_path / 'my.py', SMALL)
    cfg = Config.fromfile(tmp_path / 'my.py')
    cfg.merge_from_dict(changes)
    error = find_error(cfg)
    assert error is None if message is None else error.startswith(message)
