"""Generated datasets are reproducible, complete and consistent."""

import hashlib

import cv2
import numpy as np
import pytest
from matplotlib.path import Path
from pycocotools.coco import COCO

from mmcednet.data import shapes as module
from mmcednet.data.shapes import CLASSES, draw_dataset, draw_image, fill_polygon, place_shape


def hash_files(folder):
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    total = hashlib.sha256()
    for path in files:
        total.update(str(path.relative_to(folder)).encode())
        content = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.suffix == '.png' else None
        total.update(path.read_bytes() if content is None else content.tobytes())
    return total.hexdigest()


def test_images_depend_only_on_the_seed(shapes, tmp_path):
    again = draw_dataset(tmp_path / 'again', train=6, val=3, size=64, seed=0)
    other = draw_dataset(tmp_path / 'other', train=6, val=3, size=64, seed=1)
    assert hash_files(again) == hash_files(shapes)
    assert hash_files(other) != hash_files(shapes)


def test_pixels_are_the_same_on_every_machine():
    """The hashes were recorded when the dataset was defined."""
    image, labels, objects = draw_image(np.random.RandomState([0, 0, 0]), 64)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == '3542494373d0a368'
    assert hashlib.sha256(labels.tobytes()).hexdigest()[:16] == '5b6bdf4fa3afc8bb'
    assert len(objects) > 1


def test_single_objects_are_the_same_on_every_machine(tmp_path):
    out = draw_dataset(tmp_path / 'single', train=4, val=8, size=64, seed=0, single=True)
    for split, number in (('train', 1), ('val', 2)):
        assert {path.name for path in (out / split).iterdir()} == set(CLASSES)
        assert all(len(list((out / split / name).iterdir())) == number for name in CLASSES)
    assert hash_files(out)[:16] == 'bc86096aee400cd6'


def test_polygons_are_filled_as_by_matplotlib():
    rng = np.random.RandomState(3)
    y, x = np.mgrid[:96, :96] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for i in range(40):
        corners = place_shape(rng, CLASSES[i % 4], rng.uniform(6, 90), 96)
        expected = Path(corners).contains_points(centres).reshape(96, 96)
        different = fill_polygon(corners, 96) != expected
        # a pixel centre on an edge may be inside or outside
        near = Path(corners).contains_points(centres, radius=1e-6).reshape(96, 96) != Path(
            corners
        ).contains_points(centres, radius=-1e-6).reshape(96, 96)
        assert not different[~near].any()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_boxes_masks_and_label_maps_agree(shapes, split, capsys):
    coco = COCO(str(shapes / 'annotations' / f'{split}.json'))
    capsys.readouterr()
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert coco.getImgIds()
    for image in coco.loadImgs(coco.getImgIds()):
        pixels = cv2.imread(str(shapes / split / image['file_name']))
        labels = cv2.imread(str(shapes / 'labels' / split / image['file_name']), cv2.IMREAD_UNCHANGED)
        assert pixels.shape == (64, 64, 3)
        assert labels.shape == (64, 64)
        assert labels.max() <= len(CLASSES)
        entries = coco.loadAnns(coco.getAnnIds(imgIds=image['id']))
        assert {entry['category_id'] for entry in entries} <= set(np.unique(labels).tolist())
        for entry in entries:
            x, y, width, height = entry['bbox']
            assert 0 <= x < x + width <= 64
            assert 0 <= y < y + height <= 64
            inside = labels[y : y + height, x : x + width] == entry['category_id']
            # the object touches all four sides of its box and covers its area
            assert inside.any(axis=0)[[0, -1]].all()
            assert inside.any(axis=1)[[0, -1]].all()
            assert inside.sum() >= entry['area']
            mask = coco.annToMask(entry)
            # the polygons cover the visible part and its holes
            assert mask[labels == entry['category_id']].sum() >= 0.95 * entry['area'] - 1


def test_sizes_span_a_wide_range_and_objects_overlap():
    sizes, overlaps = [], 0
    for index in range(60):
        _, _, objects = draw_image(np.random.RandomState([7, 0, index]), 128)
        boxes = [cv2.boundingRect(mask) for _, mask in objects]
        sizes += [max(box[2:]) for box in boxes]
        overlaps += sum(
            a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
            for i, a in enumerate(boxes)
            for b in boxes[:i]
        )
    assert max(sizes) >= 12 * np.percentile(sizes, 1)
    assert overlaps > 60


def test_existing_folders_are_reused_or_refused(shapes, tmp_path, capsys):
    before = hash_files(shapes)
    assert draw_dataset(shapes, train=6, val=3, size=64, seed=0) == shapes
    assert 'already exists' in capsys.readouterr().out
    with pytest.raises(ValueError, match='choose another folder'):
        draw_dataset(shapes, train=7, val=3, size=64, seed=0)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('precious')
    with pytest.raises(ValueError, match='choose another folder'):
        draw_dataset(tmp_path / 'mine', train=1, val=1, size=64, seed=0)
    assert hash_files(shapes) == before
    assert (tmp_path / 'mine' / 'thesis.txt').read_text() == 'precious'


def test_interrupted_run_leaves_no_data_set(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('disk full')

    with monkeypatch.context() as patch:
        patch.setattr(module.cv2, 'imwrite', fail)
        with pytest.raises(OSError, match='disk full'):
            draw_dataset(tmp_path / 'shapes', train=1, val=1, size=64, seed=0)
    assert not (tmp_path / 'shapes').exists()
    assert draw_dataset(tmp_path / 'shapes', train=1, val=1, size=64, seed=0).exists()


def test_test_split_is_optional(tmp_path):
    arguments = dict(train=1, val=1, size=64, seed=0)
    without = draw_dataset(tmp_path / 'without', **arguments)
    out = draw_dataset(tmp_path / 'with', **arguments, test=2)
    assert not (without / 'test').exists()
    assert len(list((out / 'test').iterdir())) == 2
    images = [cv2.imread(str(out / split / '00000.png')) for split in ('train', 'val', 'test')]
    assert (images[0] == cv2.imread(str(without / 'train' / '00000.png'))).all()
    assert (images[1] != images[2]).any()


@pytest.mark.parametrize(
    'settings', [dict(train=0), dict(val=0), dict(test=-1), dict(size=63), dict(seed=-1)]
)
def test_invalid_numbers_are_reported(tmp_path, settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=f'{name} {value} must be'):
        draw_dataset(tmp_path / 'x', **{**dict(train=1, val=1, size=64, seed=0), **settings})
