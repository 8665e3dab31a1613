"""Images with more objects than a model can find are named before it trains."""

import json
from collections import Counter

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmcednet.checks import check_data
from mmcednet.checks.limits import find_detection_limit, list_limits, suggest_limit


@pytest.fixture
def cfg(root, shapes):
    cfg = Config.fromfile(root / 'configs' / 'mask_rcnn' / 'cednet_nano_shapes.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(shapes)
    cfg.val_evaluator.ann_file = str(shapes / 'annotations' / 'val.json')
    return cfg


def count(shapes):
    """Names of the training images and the numbers of their objects."""
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    return Counter(names[item['image_id']] for item in content['annotations']).most_common()


def test_a_limit_below_the_most_crowded_image(cfg, shapes, log):
    (name, most), *_ = count(shapes)
    cfg.model.test_cfg.rcnn.max_per_img = cfg.model.test_cfg.rpn.nms_pre = most
    check_data(cfg, 'train')
    assert not log.messages
    cfg.model.test_cfg.rcnn.max_per_img = cfg.model.test_cfg.rpn.nms_pre = most - 1
    check_data(cfg, 'train')
    (message,) = log.messages
    assert message.endswith(
        f'annotations/train.json: {name} has {most} objects, of which the model can find only some: '
        f'raise model.test_cfg.rpn.nms_pre={most - 1}, model.test_cfg.rcnn.max_per_img={most - 1} '
        'to 100 or more'
    )


def test_objects_that_do_not_count(cfg, shapes, log, tmp_path):
    """Crowds, and objects of other classes."""
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    content['categories'].append(dict(id=99, name='other'))
    for index, item in enumerate(content['annotations']):
        item.update(dict(iscrowd=1) if index % 2 else dict(category_id=99))
    content['annotations'][0]['category_id'] = 1
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(content))
    cfg.train_dataloader.dataset.ann_file = str(path)
    cfg.model.test_cfg.rcnn.max_per_img = 1
    check_data(cfg, 'train')
    assert not [message for message in log.messages if 'max_per_img' in message]


def test_images_that_a_training_leaves_out(cfg, shapes, log, tmp_path):
    content = json.loads((shapes / 'annotations' / 'train.json').read_text())
    first = content['images'][0]['id']
    content['annotations'] = [item for item in content['annotations'] if item['image_id'] == first]
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(content))
    cfg.train_dataloader.dataset.update(ann_file=str(path), filter_cfg=dict(filter_empty_gt=True))
    MMLogger.get_current_instance().setLevel('INFO')
    check_data(cfg, 'train')
    assert [message for message in log.messages if '5 of 6 images have no objects' in message]


@pytest.mark.parametrize(
    ('framework', 'limit'),
    [
        ('retinanet', ('model.test_cfg.max_per_img', 100)),
        ('mask_rcnn', ('model.test_cfg.rcnn.max_per_img', 30)),
        ('deformable_detr', ('model.test_cfg.max_per_img', 30)),
        ('upernet', None),
    ],
)
def test_the_limit_of_detections(root, framework, limit):
    cfg = Config.fromfile(root / 'configs' / framework / 'cednet_nano_shapes.py')
    assert find_detection_limit(cfg.model) == limit


def test_every_kind_of_limit_is_listed():
    model = dict(
        num_queries=900,
        rpn_head=dict(num_proposals=300, num_classes=4),
        stages=[dict(test_cfg=dict(nms_pre=-1)), dict(test_cfg=dict(nms_pre=200))],
        test_cfg=dict(max_per_image=100, max_per_img=0),
    )
    assert dict(list_limits(model)) == {
        'model.num_queries': 900,
        'model.rpn_head.num_proposals': 300,
        'model.stages.1.test_cfg.nms_pre': 200,
        'model.test_cfg.max_per_image': 100,
    }


@pytest.mark.parametrize(('objects', 'limit'), [(0, 100), (66, 100), (67, 110), (151, 230)])
def test_suggested_limits(objects, limit):
    assert suggest_limit(objects) == limit
