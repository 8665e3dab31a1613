"""The check foretells what mmdet trains on and what pycocotools evaluates."""

import copy
import json
import uuid
from random import Random

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmcednet.checks import check_data
from mmcednet.checks.objects import Use, find_evaluation_errors, find_omission, find_unusable

NUMBERS = (-70, -9.5, -1, 0, 0.5, 1, 8, 40, 63, 64, 90)
SIZES = (0, 0.4, 0.99, 1, 1.5, 9, 70)


@pytest.fixture
def content(shapes):
    return json.loads((shapes / 'annotations' / 'val.json').read_text())


@pytest.fixture
def cfg(root, shapes, tmp_path):
    """A training and an evaluation with the same changed file."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    path = str(tmp_path / 'changed.json')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        prefix = dict(img=f'{shapes}/val/')
        loader.dataset.update(data_root='', ann_file=path, data_prefix=prefix)
    cfg.val_evaluator.ann_file = path
    return cfg


def write(cfg, content):
    with open(cfg.val_evaluator.ann_file, 'w') as file:
        json.dump(content, file)


def make_objects(number, content):
    """Objects of which mmdet leaves many out."""
    random = Random(0)
    for index in range(number):
        item = dict(
            id=index + 1,
            image_id=random.choice([content['images'][0]['id']] * 9 + [99]),
            category_id=random.choice([1, 2, 3, 4, 1, 2, 3, 4, 99]),
            bbox=[*random.choices(NUMBERS, k=2), *random.choices(SIZES, (1, 1, 1, 4, 9, 9, 9), k=2)],
            area=random.choice([-1, 0, 0.5, 9, 9, 9, 9]),
            iscrowd=random.choice([0, 0, 1]),
        )
        yield item | (dict(ignore=random.choice([0, 1, True])) if random.random() < 0.1 else {})


def test_objects_are_left_out_as_mmdet_does(cfg, content):
    """``CocoDataset`` loads each object alone: it has an instance, or the check says why not."""
    reasons = set()
    image = content['images'][0]
    content.update(images=[image], annotations=[])
    write(cfg, content)
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, serialize_data=False, pipeline=[]))
    for item in make_objects(2000, content):
        raw = dict(raw_ann_info=[item], raw_img_info=dict(image, img_id=image['id']))
        known = item['category_id'] != 99
        loaded = item['image_id'] != 99 and bool(dataset.parse_data_info(raw)['instances'])
        reason = find_omission(item, image if item['image_id'] != 99 else None, known)
        assert (reason is None) == loaded, item
        reasons.add(reason)
    assert len(reasons) == 7


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (dict(area=0), "have an area of 0 or less instead of the object's in px"),
        (dict(iscrowd=1), 'are crowds'),
        (dict(bbox=[5, 5, 0.5, 20]), 'have boxes of less than 1 px'),
        (dict(bbox=[64, 5, 9, 9]), 'have boxes outside of their images'),
        (dict(category_id=99), 'have a category_id that is not in the file'),
        (dict(ignore=1), "have 'ignore' set"),
        (dict(segmentation=[[]]), 'have no polygon of three points'),
    ],
)
def test_no_object_to_train_on(cfg, content, changes, reason):
    """mmdet's training has none that is not ignored; as soon as one is left, the check is content."""
    whole = copy.deepcopy(content)
    for item in content['annotations']:
        item.update(changes)
    write(cfg, content)
    dataset = cfg.train_dataloader.dataset
    load = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
    dataset.pipeline = [dict(type='LoadImageFromFile'), load, dict(type='PackDetInputs')]
    built = DATASETS.build(dict(dataset, filter_cfg=None))
    assert sum(len(sample['data_samples'].gt_instances) for sample in built) == 0
    with pytest.raises(
        ValueError, match=rf'changed\.json: there is no object to train on: \d+ {reason}$'
    ):
        check_data(cfg, 'train')
    content['annotations'][0] = whole['annotations'][0]
    write(cfg, content)
    check_data(cfg, 'train')


def test_images_smaller_than_min_size(cfg, content):
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=65)
    write(cfg, content)
    settings = dict(cfg.train_dataloader.dataset, serialize_data=False)
    assert len(DATASETS.build(settings)) == 0
    with pytest.raises(ValueError, match=r'are in images smaller than filter_cfg\.min_size=65$'):
        check_data(cfg, 'train')


def test_classes_of_coco(cfg, content):
    """Without metainfo, mmdet takes the classes of COCO."""
    write(cfg, content)
    del cfg.train_dataloader.dataset.metainfo
    with pytest.raises(
        ValueError, match=r'changed\.json has none of the classes \(.person., .bicycle.'
    ):
        check_data(cfg, 'train')


def evaluate(content, kind):
    """AP at IoU 0.5 of predictions that are the objects themselves."""
    truth = COCO()
    truth.dataset = copy.deepcopy(content)
    truth.createIndex()
    keys = ('image_id', 'category_id', 'bbox')
    found = [dict({key: item[key] for key in keys}, score=0.9) for item in content['annotations']]
    if kind == 'segm':
        whole = [[0, 0, 20, 0, 20, 20, 0, 20]]
        found = [dict(item, segmentation=whole) for item in found]
    evaluation = COCOeval(truth, truth.loadRes(found), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval['precision'][0, :, :, 0, -1]
    return precision[precision > -1].mean()


@pytest.mark.parametrize(
    ('kind', 'make', 'works'),
    [
        ('annotations', lambda index: index + 1, True),
        ('annotations', lambda index: -index - 1, True),
        ('annotations', lambda index: 2**60 + index, True),
        ('annotations', lambda index: str(index + 1), True),
        ('annotations', lambda index: index, False),
        ('annotations', lambda index: str(index), False),
        ('annotations', lambda index: str(uuid.UUID(int=index + 1)), False),
        ('annotations', lambda index: f'object {index}', False),
        ('images', lambda index: index, True),
        ('images', lambda index: -index - 1, True),
        ('images', lambda index: str(uuid.UUID(int=index + 1)), True),
        ('images', lambda index: f'image {index}.png', True),
        ('categories', lambda index: index, True),
        ('categories', lambda index: -index - 1, True),
        ('categories', lambda index: f'class {index}', True),
    ],
)
def test_ids(cfg, content, kind, make, works):
    """Perfect predictions have an AP of 1, if pycocotools evaluates the ids as it should."""
    ids = {item['id']: make(index) for index, item in enumerate(content[kind])}
    for item in content[kind]:
        item['id'] = ids[item['id']]
    key = {'images': 'image_id', 'categories': 'category_id'}.get(kind)
    for item in content['annotations'] if key else ():
        item[key] = ids[item[key]]
    write(cfg, content)
    check_data(cfg, 'train')
    try:
        right = evaluate(content, 'bbox') == pytest.approx(1)
    except (ValueError, TypeError):
        right = False
    assert right == works
    if works:
        check_data(cfg, 'val')
    else:
        with pytest.raises(
            ValueError, match=r'in the evaluation by pycocotools; number the annotations'
        ):
            check_data(cfg, 'val')


@pytest.mark.parametrize(
    ('mask', 'works'),
    [
        ([], False),
        (None, False),
        ([[]], False),
        ([[1, 2]], False),
        ([[1, 2, 9, 2]], False),
        ([[1, 2, 9, 2], [1, 1, 9, 1, 9, 9]], False),
        ([[1, 1, 9, 1, 9, 9], [1, 2]], True),
        ([[1, 1, 9, 1, 9, 9], []], True),
        (dict(size=[64, 64], counts=[70, 26, 4000]), True),
    ],
)
def test_masks_that_are_evaluated(content, mask, works):
    item = content['annotations'][1]
    item['segmentation'] = mask
    try:
        evaluate(content, 'segm')
        right = True
    except Exception:  # pycocotools raises any
        right = False
    assert right == works
    use = Use(('disc',), trained=False, metrics=frozenset({'segm'}))
    assert (not list(find_evaluation_errors(item, use, counted=True))) == works
    assert not list(find_evaluation_errors(item, use, counted=False))


def test_no_object_to_evaluate(content):
    for item in content['annotations']:
        item.update(iscrowd=1, area=0)
    use = Use(('disc', 'square', 'triangle', 'star'), trained=False, metrics=frozenset({'bbox'}))
    number = len(content['annotations'])
    message = f'there is no object to evaluate: {number} are crowds'
    assert np.isnan(evaluate(content, 'bbox'))
    assert find_unusable(content, use) == message
    content['annotations'][0]['iscrowd'] = 0  # its area does not matter
    assert evaluate(content, 'bbox') == pytest.approx(1)
    assert find_unusable(content, use) is None


@pytest.mark.parametrize('change', ['missing', 'order'])
def test_categories_of_the_validation(cfg, content, change):
    """The labels of ``CocoDataset`` are others than the config's."""
    classes = cfg.val_dataloader.dataset.metainfo['classes']
    if change == 'missing':
        content['categories'] = content['categories'][1:]
        content['annotations'] = [item for item in content['annotations'] if item['category_id'] > 1]
    else:
        content['categories'] = content['categories'][::-1]
    write(cfg, content)
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, serialize_data=False, pipeline=[]))
    names = {category['id']: category['name'] for category in content['categories']}
    labels = {names[number]: label for number, label in dataset.cat2label.items()}
    assert any(labels.get(name) != label for label, name in enumerate(classes))
    message = (
        "lack 'disc' of the config" if change == 'missing' else "'star' stands where .* have 'disc'"
    )
    with pytest.raises(ValueError, match=rf'changed\.json: its categor\w+ {message}'):
        check_data(cfg, 'val')


def test_metric_with_another_file(cfg, content, tmp_path):
    write(cfg, content)
    check_data(cfg, 'val')
    content['images'] = content['images'][1:]
    (tmp_path / 'other.json').write_text(json.dumps(content))
    cfg.val_evaluator.ann_file = str(tmp_path / 'other.json')
    with pytest.raises(ValueError, match=r"ann_file \S+other\.json lacks 1 images of the dataset's"):
        check_data(cfg, 'val')
    cfg.val_evaluator.ann_file = str(tmp_path / 'none.json')
    with pytest.raises(ValueError, match=r'none\.json does not exist'):
        check_data(cfg, 'val')
