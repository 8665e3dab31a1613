"""Copy-paste on real datasets, compared with a pixel-by-pixel reference."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes, bbox_overlaps
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from torch.utils.data import DataLoader

from mmcednet.data import BoxCopyPaste, PairedDataset

SIZE = 60


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')
    np.random.seed(0)


def make_sample(boxes, colour, masks=False, ignore=()):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    results = dict(
        img=np.full((SIZE, SIZE, 3), colour, np.uint8),
        img_path=f'{colour}.png',
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.arange(len(boxes)) + colour,
        gt_ignore_flags=np.array([i in ignore for i in range(len(boxes))], bool),
    )
    if masks:
        bitmaps = np.zeros((len(boxes), SIZE, SIZE), np.uint8)
        for bitmap, (x1, y1, x2, y2) in zip(bitmaps, boxes.int().tolist()):
            bitmap[y1:y2, x1:x2] = 1
        results['gt_masks'] = BitmapMasks(bitmaps, SIZE, SIZE)
    return results


TARGET = [[5, 5, 25, 25], [30, 30, 50, 50]]
SOURCE = [[6, 5, 26, 25], [2, 40, 12, 55], [40, 2, 58, 12], [20, 40, 34, 58]]


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize('margin', [0, 4])
def test_pasted_pixels_boxes_and_masks(masks, margin):
    target, source = make_sample(TARGET, 10, masks), make_sample(SOURCE, 200, masks)
    before, source_masks = target['img'], source.get('gt_masks')
    results = BoxCopyPaste(margin=margin)(dict(target, mix_results=[source]))

    # the first source box overlaps a target box, the others have an IoU below 0.2
    overlaps = bbox_overlaps(
        torch.tensor(SOURCE, dtype=torch.float), torch.tensor(TARGET, dtype=torch.float)
    )
    free = (overlaps.max(dim=1).values < 0.2).tolist()
    assert free == [False, True, True, True]

    boxes = results['gt_bboxes'].tensor.tolist()
    assert boxes[:2] == TARGET
    assert sorted(boxes[2:]) == sorted(SOURCE[1:])
    order = [SOURCE.index(box) for box in boxes[2:]]
    assert results['gt_bboxes_labels'].tolist() == [10, 11, *(200 + i for i in order)]
    assert results['gt_ignore_flags'].tolist() == [False] * 5
    assert 'mix_results' not in results

    pasted = (results['img'] == 200).all(axis=2)
    assert ((results['img'] == 10).all(axis=2) | pasted).all()
    least, most = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)
    for x1, y1, x2, y2 in SOURCE[1:]:
        least[y1:y2, x1:x2] = True
        most[max(y1 - margin, 0) : y2 + margin, max(x1 - margin, 0) : x2 + margin] = True
    assert pasted[least].all()
    assert not pasted[~most].any()
    assert margin == 0 or pasted.sum() > least.sum()
    assert (before == 10).all()  # the input image is not modified
    if masks:
        assert len(results['gt_masks']) == 5
        for i, index in enumerate(order):
            assert (results['gt_masks'].masks[2 + i] == source_masks.masks[index]).all()
    else:
        assert 'gt_masks' not in results


def test_margins_are_0_to_the_maximum():
    source = make_sample([[20, 20, 30, 30]], 200)
    seen = set()
    for _ in range(300):
        results = BoxCopyPaste(margin=2)(dict(make_sample([], 10), mix_results=[source]))
        rows, columns = np.nonzero(results['img'][..., 0] == 200)
        seen.add((rows.min(), rows.max() + 1, columns.min(), columns.max() + 1))
    for side, values in enumerate(zip(*seen)):
        inside, step = ((20, -1), (30, 1))[side % 2]
        assert sorted(set(values)) == sorted(inside + step * i for i in range(3))


def test_at_most_seven_boxes_are_pasted_once_each():
    boxes = [[10 * x, 10 * y, 10 * x + 8, 10 * y + 8] for x in range(4) for y in range(5)]
    chosen = set()
    for _ in range(60):
        results = BoxCopyPaste()(dict(make_sample([], 10), mix_results=[make_sample(boxes, 200)]))
        labels = results['gt_bboxes_labels'].tolist()
        assert len(labels) == len(set(labels)) == 7
        chosen |= set(labels)
    assert len(chosen) == len(boxes)  # each of them can be chosen


@pytest.mark.parametrize('masks', [False, True])
def test_images_without_boxes_and_ignored_regions(masks):
    paste = BoxCopyPaste(margin=0)
    into_empty = paste(dict(make_sample([], 10, masks), mix_results=[make_sample(SOURCE, 200, masks)]))
    assert len(into_empty['gt_bboxes']) == 4
    from_empty = paste(dict(make_sample(TARGET, 10, masks), mix_results=[make_sample([], 200, masks)]))
    assert len(from_empty['gt_bboxes']) == 2
    assert (from_empty['img'] == 10).all()
    crowd = paste(
        dict(make_sample([], 10, masks), mix_results=[make_sample(SOURCE, 200, masks, ignore=(1,))])
    )
    assert sorted(crowd['gt_bboxes_labels']) == [200, 202, 203]
    alone = paste(dict(make_sample(TARGET, 10, masks), mix_results=[]))
    assert len(alone['gt_bboxes']) == 2


def test_mismatched_images_are_reported():
    other = make_sample(SOURCE, 200)
    other['img'] = other['img'][:50]
    with pytest.raises(ValueError, match=r'200\.png of shape \(50, 60, 3\)'):
        BoxCopyPaste()(dict(make_sample(TARGET, 10), mix_results=[other]))
    with pytest.raises(ValueError, match='has masks'):
        BoxCopyPaste()(
            dict(make_sample(TARGET, 10, masks=True), mix_results=[make_sample(SOURCE, 200)])
        )


def write_coco(folder, number, objects=2):
    """A COCO dataset; image i has the uniform grey value 10 * i."""
    folder.mkdir()
    images, annotations = [], []
    for i in range(number):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((40, 48, 3), 10 * i, np.uint8))
        images.append(dict(id=i, file_name=f'{i}.png', width=48, height=40))
        for k in range(objects):
            x, y = 4 + 20 * k, 3 + 2 * i
            box = [x, y, 10, 12]
            polygon = [x, y, x + 10, y, x + 10, y + 12, x, y + 12]
            entry = dict(bbox=box, segmentation=[polygon], area=120, iscrowd=0, category_id=1)
            annotations.append(dict(id=len(annotations) + 1, image_id=i, **entry))
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='thing')])
    (folder / 'ann.json').write_text(json.dumps(content))
    return folder


def build_dataset(root, folder, prob, masks=False, jitter=True):
    """The training set of the recipe with the images of ``folder``, jittered to 64 x 64."""
    name = 'coco_instance_lsj_copy_paste.py' if masks else 'coco_lsj_copy_paste.py'
    config = Config.fromfile(root / 'configs' / '_base_' / 'datasets' / name)
    paired = config.train_dataloader.dataset
    paired.prob = prob
    paired.dataset.update(
        data_root=str(folder),
        ann_file='ann.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('thing',)),
    )
    pipeline = paired.dataset.pipeline
    for transform in pipeline:
        transform.update({key: (64, 64) for key in ('scale', 'crop_size', 'size') if key in transform})
    if not jitter:
        del pipeline[2:]
    return DATASETS.build(paired)


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize('workers', [0, 2])
def test_inside_data_loader_workers(root, tmp_path, masks, workers):
    """Large-scale jitter and copy-paste as in the recipe, drawn by real workers."""
    dataset = build_dataset(root, write_coco(tmp_path / 'coco', 6), prob=1.0, masks=masks)
    loader = DataLoader(dataset, batch_size=2, num_workers=workers, collate_fn=list)
    packed = [item for _ in range(5) for batch in loader for item in batch]
    assert len(packed) == 30
    pasted = 0
    for item in packed:
        instances = item['data_samples'].gt_instances
        assert item['inputs'].shape == (3, 64, 64)
        assert len(instances.bboxes) == len(instances.labels)
        assert masks == ('masks' in instances)
        if masks:
            assert len(instances.masks) == len(instances.bboxes)
            assert instances.masks.masks.shape[1:] == (64, 64)
        pasted += len(instances.bboxes) > 2
    assert pasted > 5  # more than the two objects of one image


def test_second_image_differs_and_is_drawn_with_the_probability(root, tmp_path):
    """With two images the second one is always the other one."""
    dataset = build_dataset(root, write_coco(tmp_path / 'coco', 2, objects=1), prob=1.0, jitter=False)
    for index in (0, 1) * 20:
        results = dataset.dataset[index]
        assert dataset.draw_other(results)['img_id'] == 1 - index
    dataset = build_dataset(root, tmp_path / 'coco', prob=0.3, jitter=False)
    inputs = []
    dataset.pipeline = inputs.append
    for index in (0, 1) * 200:
        dataset[index]
    share = np.mean([len(results['mix_results']) for results in inputs])
    assert share == pytest.approx(0.3, abs=0.08)


def test_results_depend_on_the_seeds_of_the_workers(root, tmp_path):
    dataset = build_dataset(root, write_coco(tmp_path / 'coco', 8), prob=1.0)

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        loader = DataLoader(
            dataset,
            num_workers=2,
            collate_fn=list,
            generator=generator,
            worker_init_fn=lambda worker: np.random.seed(seed + worker),
        )
        return torch.stack([item['inputs'] for (item,) in loader])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_wrapper_has_the_interface_of_a_dataset(root, tmp_path):
    dataset = build_dataset(root, write_coco(tmp_path / 'coco', 3), prob=0.5)
    assert len(dataset) == 3
    assert dataset.metainfo['classes'] == ('thing',)
    assert dataset.get_data_info(1)['img_id'] == 1
    assert isinstance(dataset, PairedDataset)
    dataset.full_init()
    with pytest.raises(ValueError, match='at least 2 samples, but the dataset has 1'):
        build_dataset(root, write_coco(tmp_path / 'one', 1), prob=0.5)
    with pytest.raises(ValueError, match='prob 2'):
        build_dataset(root, tmp_path / 'coco', prob=2)
    assert 'max_pasted=7' in repr(TRANSFORMS.build(dict(type='BoxCopyPaste')))
