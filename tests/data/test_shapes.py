"""The generated data set: the same for a seed, whole, and consistent with itself."""

import hashlib
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from matplotlib.path import Path
from pycocotools.coco import COCO

from mmcednet.data import shapes as module
from mmcednet.data.shapes import CLASSES, draw, draw_image, filled, placed


def digest(folder):
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    total = hashlib.sha256()
    for path in files:
        total.update(str(path.relative_to(folder)).encode())
        content = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.suffix == '.png' else None
        total.update(path.read_bytes() if content is None else content.tobytes())
    return total.hexdigest()


def test_the_same_for_a_seed_and_another_for_another(shapes, tmp_path):
    again = draw(tmp_path / 'again', train=6, val=3, size=64, seed=0)
    other = draw(tmp_path / 'other', train=6, val=3, size=64, seed=1)
    assert digest(again) == digest(shapes)
    assert digest(other) != digest(shapes)


def test_pixels_are_these_on_every_machine():
    """Not recomputed here: the numbers are from when the data set was defined."""
    image, labels, objects = draw_image(np.random.RandomState([0, 0, 0]), 64)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == '3542494373d0a368'
    assert hashlib.sha256(labels.tobytes()).hexdigest()[:16] == '5b6bdf4fa3afc8bb'
    assert len(objects) > 1


def test_filling_against_matplotlib():
    rng = np.random.RandomState(3)
    y, x = np.mgrid[:96, :96] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for i in range(40):
        corners = placed(rng, CLASSES[i % 4], rng.uniform(6, 90), 96)
        expected = Path(corners).contains_points(centres).reshape(96, 96)
        differing = filled(corners, 96) != expected
        # a centre on an edge may go either way
        near = Path(corners).contains_points(centres, radius=1e-6).reshape(96, 96) != Path(
            corners
        ).contains_points(centres, radius=-1e-6).reshape(96, 96)
        assert not differing[~near].any()


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
            # the object touches all four sides of its box, and fills its area
            assert inside.any(axis=0)[[0, -1]].all()
            assert inside.any(axis=1)[[0, -1]].all()
            assert inside.sum() >= entry['area']
            mask = coco.annToMask(entry)
            # the polygons cover what is seen, and the holes in it
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


def test_found_again_or_refused(shapes, tmp_path, capsys):
    before = digest(shapes)
    assert draw(shapes, train=6, val=3, size=64, seed=0) == shapes
    assert 'is there already' in capsys.readouterr().out
    with pytest.raises(ValueError, match='choose another folder'):
        draw(shapes, train=7, val=3, size=64, seed=0)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('precious')
    with pytest.raises(ValueError, match='choose another folder'):
        draw(tmp_path / 'mine', train=1, val=1, size=64, seed=0)
    assert digest(shapes) == before
    assert (tmp_path / 'mine' / 'thesis.txt').read_text() == 'precious'


def test_an_interrupted_run_leaves_no_data_set(tmp_path, monkeypatch):
    def full(*args):
        raise OSError('disk full')

    with monkeypatch.context() as patch:
        patch.setattr(module.cv2, 'imwrite', full)
        with pytest.raises(OSError, match='disk full'):
            draw(tmp_path / 'shapes', train=1, val=1, size=64, seed=0)
    assert not (tmp_path / 'shapes').exists()
    assert draw(tmp_path / 'shapes', train=1, val=1, size=64, seed=0).exists()


@pytest.mark.parametrize('settings', [dict(train=0), dict(val=0), dict(size=63), dict(seed=-1)])
def test_wrong_numbers(tmp_path, settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=f'{name} {value} must be'):
        draw(tmp_path / 'x', **{**dict(train=1, val=1, size=64, seed=0), **settings})


@pytest.mark.slow
def test_command(tmp_path):
    command = [sys.executable, '-m', 'mmcednet.data.shapes', str(tmp_path / 'out')]
    command += ['--train', '2', '--val', '1', '--size', '64', '--seed', '3']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / 'out' / 'shapes.json').read_text())['seed'] == 3
    assert len(list((tmp_path / 'out' / 'train').iterdir())) == 2
    command[command.index('2')] = '0'
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert 'train 0 must be at least 1' in result.stderr
