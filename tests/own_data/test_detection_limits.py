"""Written configs of detectors can find every object of the data, and keep the images without."""

import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, init_default_scope

from mmcednet.checks.limits import list_limits
from mmcednet.config_files import read_config
from mmcednet.own_data.detection import FRAMEWORKS, MASK_FRAMEWORKS
from mmcednet.own_data.detection_limits import raise_limits
from mmcednet.own_data.new_config import write_new_config


def draw(folder, **counts):
    """Data of squares, as many in each image of a split as its list says."""
    for split, numbers in counts.items():
        (folder / split).mkdir(parents=True)
        items, images = [], []
        for image_id, number in enumerate(numbers, 1):
            image = np.full((96, 128, 3), 120, np.uint8)
            for index in range(number):
                x, y = 6 * (index % 20) + 1, 6 * (index // 20) + 1
                image[y : y + 5, x : x + 5] = 255
                polygon = [x, y, x + 5, y, x + 5, y + 5, x, y + 5]
                item = dict(id=len(items) + 1, image_id=image_id, category_id=1, iscrowd=0, area=25)
                items.append(dict(item, bbox=[x, y, 5, 5], segmentation=[polygon]))
            cv2.imwrite(str(folder / split / f'{split}{image_id}.png'), image)
            images.append(dict(id=image_id, file_name=f'{split}{image_id}.png', width=128, height=96))
        content = dict(images=images, annotations=items, categories=[dict(id=1, name='square')])
        (folder / f'{split}.json').write_text(json.dumps(content))
    return folder


def write(folder, framework, arch, root):
    out = folder.parent / f'{folder.name}-{framework}-{arch}.py'
    draft = write_new_config(folder, framework, arch, out, root / 'configs')
    return {setting: (value, reason) for setting, value, reason in draft.reasons}, Config.fromfile(out)


@pytest.fixture(scope='module')
def crowded(tmp_path_factory):
    """The most crowded image is one of the validation."""
    return draw(tmp_path_factory.mktemp('data') / 'crowded', train=[40, 90], val=[7, 150])


@pytest.mark.parametrize('arch', ['tiny', 'nano'])
@pytest.mark.parametrize('framework', FRAMEWORKS)
def test_limits_follow_from_the_most_crowded_image(crowded, root, log, framework, arch):
    reasons, cfg = write(crowded, framework, arch, root)
    assert reasons['detections'] == (
        'at most 230 an image',
        'the most crowded image, val2.png, has 150 objects',
    )
    assert not [message for message in log.messages if 'objects' in message]
    limits = dict(list_limits(cfg.model))
    detections = 'max_per_img' if framework == 'retinanet' else 'rcnn.max_per_img'
    assert limits.pop(f'model.test_cfg.{detections}') == 230
    assert min(limits.values()) >= 2 * 230
    metric = f'coco/{"segm" if framework in MASK_FRAMEWORKS else "bbox"}_mAP@230'
    assert cfg.default_hooks.checkpoint.save_best == reasons['best checkpoint'][0] == metric
    init_default_scope('mmdet')
    evaluator = METRICS.build(cfg.val_evaluator)
    assert (type(evaluator).__name__, evaluator.max_dets) == ('CrowdedCocoMetric', 230)
    if framework in MASK_FRAMEWORKS:  # trained with as many proposals as they get later
        assert cfg.model.train_cfg.rpn_proposal.max_per_img == cfg.model.test_cfg.rpn.max_per_img


@pytest.mark.parametrize(
    ('config', 'numbers'),
    [
        ('dino/dino-4scale_r50_8xb2-12e_coco.py', [300, 900]),
        ('mask2former/mask2former_r50_8xb2-lsj-50e_coco.py', [100, 100]),
        ('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py', [100, 100]),
    ],
)
def test_limits_of_frameworks_of_mmdet(config, numbers):
    """Detections, queries and proposals."""
    model = read_config(f'mmdet::{config}').model.to_dict()
    assert sorted(dict(list_limits(model)).values()) == numbers
    raise_limits(model, 400)
    assert sorted(dict(list_limits(model)).values()) == [max(number, 400) for number in numbers]


@pytest.mark.parametrize('framework', ['retinanet', 'mask_rcnn'])
def test_no_more_objects_than_coco_counts(tmp_path, root, framework):
    """COCO's AP counts all of them; images without objects are trained on."""
    folder = draw(tmp_path / 'few', train=[3, 0, 100, 0], val=[2])
    reasons, cfg = write(folder, framework, 'nano', root)
    assert reasons['detections'][0] == 'at most 150 an image'
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == 'CocoMetric'
    kind = 'bbox' if framework == 'retinanet' else 'segm'
    assert cfg.default_hooks.checkpoint.save_best == f'coco/{kind}_mAP'
    assert reasons['without objects'][0] == '2 of 4 images'
    init_default_scope('mmdet')
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 4
