"""Models in Python: loaded from files, called with images of any kind, drawn, in COCO's format."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hostile_checkpoints import Call, save
from mmengine.runner import CheckpointLoader
from PIL import Image
from pycocotools import mask as coco_mask
from small_models import SHAPES, save_random_model

import mmcednet
from mmcednet.inference.model import Model
from mmcednet.inference.predict import load_predictor


@pytest.fixture(scope='module', autouse=True)
def own_loaders() -> Iterator[None]:
    """The models of this module leave the loaders of others as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
        yield


@pytest.fixture(scope='module')
def cells(root: Path) -> Path:
    return root / 'examples' / 'blood_cells'


@pytest.fixture(scope='module')
def model(cells: Path) -> Model:
    """The published detector of blood cells, with the config in its file."""
    (checkpoint,) = cells.glob('*.safetensors')
    return mmcednet.load(checkpoint, device='cpu')


@pytest.fixture(scope='module')
def picture(cells: Path) -> Path:
    return cells / 'images' / 'BloodImage_00031.jpg'


@pytest.fixture(scope='module')
def nuclei(root: Path) -> Model:
    folder = root / 'examples' / 'nuclei'
    (checkpoint,) = folder.glob('*.safetensors')
    return mmcednet.load(str(checkpoint), folder / 'config.py', 'cpu')


def test_detections_are_those_of_infer(model, cells, picture):
    (checkpoint,) = cells.glob('*.safetensors')
    predictor = load_predictor(str(cells / 'config.py'), str(checkpoint), 'cpu')
    (sample,) = predictor.predict([str(picture)])
    expected = predictor.select(sample, 0.3).pred_instances
    result = model(picture)
    assert (model.task, model.classes) == ('detector', ('Platelets', 'RBC', 'WBC'))
    assert len(result) == len(expected) > 5
    np.testing.assert_array_equal(result.boxes, expected.bboxes)
    np.testing.assert_array_equal(result.scores, expected.scores)
    np.testing.assert_array_equal(result.labels, expected.labels)
    assert result.names == [model.classes[label] for label in expected.labels]
    assert result.masks is None
    assert f'{result.names.count("WBC")} WBC' in repr(result)
    assert len(model(picture, score=0)) > len(result) > len(model(picture, score=0.6))


def test_kinds_of_images(model, picture):
    """JPEG is decoded by OpenCV and Pillow with differences of a few grey values."""
    expected = model(str(picture))
    array = cv2.imread(str(picture))
    with Image.open(picture) as image:
        alike = model([picture, array, image, Image.fromarray(array[..., ::-1])])
    for result, tolerance in zip(alike, (0, 0, 2, 0)):
        np.testing.assert_allclose(result.boxes, expected.boxes, atol=tolerance)


def test_pictures_are_turned(model, picture, tmp_path):
    with Image.open(picture) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(tmp_path / 'turned.png', exif=exif)
    with Image.open(tmp_path / 'turned.png') as image:
        by_pillow = model(image)
    by_file = model(tmp_path / 'turned.png')
    assert by_pillow.image.shape == by_file.image.shape == (640, 480, 3)
    np.testing.assert_array_equal(by_pillow.boxes, by_file.boxes)


def test_images_of_more_than_8_bits(model):
    """Pillow would clip them."""
    for pixels in (np.full((64, 64), 2**15, np.uint16), np.ones((64, 64), np.float32)):
        image = Image.fromarray(pixels)
        with pytest.raises(
            ValueError, match=f'an image has the mode {image.mode}, of more than 8 bits'
        ):
            model(image)


def test_what_is_no_image(model, picture, tmp_path):
    (tmp_path / 'a.jpg').write_text('text')
    with pytest.raises(ValueError, match=r'a\.jpg could not be read as an image'):
        model(tmp_path / 'a.jpg')
    with pytest.raises(ValueError, match='is a folder; pass its images'):
        model(picture.parent)
    with pytest.raises(ValueError, match=r'score 30 must be in \[0, 1\]'):
        model(picture, score=30)
    with pytest.raises(FileNotFoundError, match=r'absent\.png does not exist'):
        model('absent.png')
    with pytest.raises(ValueError, match=r'shape \(4, 4\) and the type uint8; it must be \(H, W, 3\)'):
        model(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match='the type float32'):
        model(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match='not a <class'):
        model(3)
    for empty in (np.zeros((0, 5, 3), np.uint8), Image.new('RGB', (5, 0))):
        with pytest.raises(ValueError, match=r'has the shape \(0, 5, 3\), so that it is empty'):
            model(empty)
    with pytest.raises(ValueError, match='an image has 5000x1 px, which cannot be resized'):
        model(np.zeros((1, 5000, 3), np.uint8))


def test_drawing(model, picture, tmp_path):
    result = model(picture)
    drawn = np.asarray(result.draw(tmp_path / 'new' / 'out.png'))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'new' / 'out.png')), drawn)
    changed = (
        np.abs(drawn[:, : result.image.shape[1]].astype(int) - result.image[..., ::-1]).max(-1) > 20
    )
    left, top, right, bottom = result.boxes.astype(int)[0]
    assert changed[top : bottom + 1, left : right + 1].any()
    assert result._repr_png_().startswith(b'\x89PNG')
    with pytest.raises(ValueError, match='unknown file extension'):
        result.draw(tmp_path / 'out.abc')


def test_masks(nuclei, root):
    picture = root / 'examples' / 'nuclei' / 'images' / '12f89395ad5d2149.png'
    result = nuclei(picture)
    height, width = result.image.shape[:2]
    assert result.masks.shape == (len(result), height, width) and result.masks.dtype == bool
    for entry, mask, (left, top, right, bottom) in zip(result.to_coco(7), result.masks, result.boxes):
        assert entry['image_id'] == 7
        np.testing.assert_array_equal(coco_mask.decode(entry['segmentation']), mask)
        rows, columns = np.nonzero(mask)
        assert left - 1 <= columns.min() and columns.max() <= right + 1
        assert top - 1 <= rows.min() and rows.max() <= bottom + 1


def test_results_in_the_format_of_coco(model, picture):
    result = model(picture)
    entries = json.loads(json.dumps(result.to_coco(image_id=31)))
    boxes = np.array([entry['bbox'] for entry in entries])
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(boxes, result.boxes, atol=1e-3)
    assert [entry['category'] for entry in entries] == result.names
    assert {entry['image_id'] for entry in entries} == {31}
    assert model(np.zeros((64, 64, 3), np.uint8), score=1.0).to_coco() == []


def test_segmenter_and_classifier(root, shapes, tmp_path):
    picture = shapes / 'val' / '00000.png'
    config = root / 'configs' / 'upernet' / 'cednet_nano_shapes.py'
    segmenter = mmcednet.load(save_random_model(config, tmp_path / 'a.pth'), config, 'cpu')
    result = segmenter(picture)
    assert result.label_map.shape == result.image.shape[:2]
    for label, name in enumerate(segmenter.classes):
        assert result.shares.get(name, 0) == pytest.approx((result.label_map == label).mean())
    config = root / 'configs' / 'imagenet' / 'cednet_nano_shapes.py'
    checkpoint = save_random_model(config, tmp_path / 'b.pth', classes=SHAPES)
    result = mmcednet.load(checkpoint, config, 'cpu')(picture)
    assert result.scores.shape == (4,) and result.scores.sum() == pytest.approx(1)
    assert result.name == SHAPES[result.label] and result.scores[result.label] == result.scores.max()
    assert result.draw().height == result.image.shape[0]


def test_several_models_in_threads(model, nuclei, picture, root):
    """As in a server: each thread gets the predictions of its own model and picture."""
    other = root / 'examples' / 'nuclei' / 'images' / '12f89395ad5d2149.png'
    calls = [(model, picture), (nuclei, other), (model, other), (nuclei, picture)]
    expected = [call(path) for call, path in calls]
    drawn = np.asarray(expected[0].draw())
    found = {}

    def run(index: int) -> None:
        call, path = calls[index]
        result = call(path)
        found[index] = result, np.asarray(result.draw())

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, result in enumerate(expected):
        np.testing.assert_array_equal(found[index][0].boxes, result.boxes)
    np.testing.assert_array_equal(found[0][1], drawn)  # mmdet outlines masks in random colours


def test_checkpoint_without_a_config(root, tmp_path):
    config = root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    checkpoint = save_random_model(config, tmp_path / 'a.pth', classes=SHAPES)
    with pytest.raises(ValueError, match=r'a\.pth contains no config; pass the config file, too'):
        mmcednet.load(checkpoint)
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        mmcednet.load('absent.pth')


def test_checkpoint_that_could_run_code(root, tmp_path):
    config = root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    save(Call(os.system, 'false'), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth contains .*, which may run code'):
        mmcednet.load(tmp_path / 'a.pth', config)
