"""Predictions are those of the toolboxes; bad checkpoints and devices are reported."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from pycocotools import mask as coco_mask
from small_models import SHAPES, save_random_model

from mmcednet.inference.inputs import read_image
from mmcednet.inference.predict import load_predictor
from mmcednet.visualization.predictions import Style


@pytest.fixture(scope='module')
def picture(shapes):
    return str(shapes / 'val' / '00000.png')


def test_detector(load_small, picture):
    from mmdet.apis import inference_detector

    detector = load_small('mask_rcnn')
    assert (detector.task, detector.classes) == ('detector', SHAPES)
    (sample,) = detector.predict([picture])
    with DefaultScope.overwrite_default_scope('mmdet'):
        expected = inference_detector(detector.inferencer.model, picture).pred_instances
    threshold = expected.scores.median().item()
    keep = expected.scores >= threshold
    assert 0 < keep.sum() < len(keep)
    entries = detector.describe(detector.select(sample, threshold))
    boxes = np.array([entry['bbox'] for entry in entries])
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(boxes, expected.bboxes[keep], atol=1e-4)
    np.testing.assert_allclose([entry['score'] for entry in entries], expected.scores[keep], atol=1e-6)
    labels = [SHAPES[label] for label in expected.labels[keep]]
    assert [entry['category'] for entry in entries] == labels
    assert [entry['category_id'] for entry in entries] == (expected.labels[keep] + 1).tolist()
    masks = [coco_mask.decode(entry['segmentation']) for entry in entries]
    np.testing.assert_array_equal(masks, expected.masks[keep].numpy())


def test_classes_of_a_detector_are_selected(load_small, picture):
    detector = load_small('mask_rcnn')
    (sample,) = detector.predict([picture])
    labels = sample.pred_instances.labels
    assert (labels == 1).any() and (labels != 1).any()
    selected = detector.select(sample, 0.0, [1]).pred_instances
    assert len(selected) == (labels == 1).sum() and (selected.labels == 1).all()
    assert len(detector.select(sample, 0.0, []).pred_instances) == 0
    assert len(sample.pred_instances) == len(labels)  # unchanged


def test_boxes_and_masks_are_drawn(load_small, picture):
    detector = load_small('mask_rcnn')
    image = read_image(picture)[..., ::-1]
    (sample,) = detector.predict([picture])
    best = detector.select(sample, sample.pred_instances.scores.max().item())
    drawn = detector.draw(image, best, Style(legend=False)).astype(int)
    left, top, right, bottom = best.pred_instances.bboxes[0].int().tolist()
    changed = np.abs(drawn - image).max(-1) > 10
    assert drawn.shape == image.shape
    assert changed[top : bottom + 1, left : right + 1].any()
    nothing = detector.draw(image, detector.select(sample, 1.1))
    np.testing.assert_array_equal(nothing[:, : image.shape[1]], image)
    assert nothing.shape[1] > image.shape[1]  # the legend, so that all frames of a video have one size


def test_segmenter(load_small, picture):
    segmenter = load_small('upernet')
    (sample,) = segmenter.predict([picture])
    with torch.no_grad():
        image = torch.from_numpy(read_image(picture)).permute(2, 0, 1)
        (reference,) = segmenter.inferencer.model.test_step(dict(inputs=[image]))
    expected = reference.pred_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(segmenter.get_label_map(sample), expected)
    (entry,) = segmenter.describe(sample)
    shares = {
        name: (expected == label).mean()
        for label, name in enumerate(('background', *SHAPES))
        if (expected == label).any()
    }
    assert entry['classes'] == pytest.approx(shares)
    assert list(entry['classes'].values()) == sorted(shares.values(), reverse=True)


def test_classes_of_a_segmenter_are_selected(load_small, picture):
    segmenter = load_small('upernet')
    image = read_image(picture)[..., ::-1]
    (sample,) = segmenter.predict([picture])
    labels = segmenter.get_label_map(sample)
    label = int(np.unique(labels)[0])
    assert (labels != label).any()
    style = Style(labels=False, legend=False)
    drawn = segmenter.draw(image, segmenter.select(sample, 0.0, [label]), style)
    np.testing.assert_array_equal(drawn[labels != label], image[labels != label])
    assert (drawn[labels == label] != image[labels == label]).any()


def test_classifier(load_small, picture):
    classifier = load_small('imagenet')
    (sample,) = classifier.predict([picture])
    (entry,) = classifier.describe(sample)
    with torch.no_grad():
        image = torch.from_numpy(read_image(picture)).permute(2, 0, 1)
        (reference,) = classifier.inferencer.model.test_step(
            dict(inputs=image[None], data_samples=None)
        )
    scores = reference.pred_score
    order = scores.argsort(descending=True).tolist()
    assert [top['label'] for top in entry['predictions']] == [SHAPES[label] for label in order]
    found = [top['score'] for top in entry['predictions']]
    np.testing.assert_allclose(found, scores[order], rtol=1e-5)
    drawn = classifier.draw(read_image(picture)[..., ::-1], sample)
    assert (drawn[:, :64] == read_image(picture)[..., ::-1]).all() and (drawn[:, 64:] < 100).any()


@pytest.mark.parametrize('framework', ['mask_rcnn', 'upernet', 'imagenet'])
def test_batches_predict_the_same(load_small, shapes, framework):
    predictor = load_small(framework)
    paths = [str(path) for path in sorted((shapes / 'val').iterdir())]
    together = [predictor.describe(sample) for sample in predictor.predict(paths)]
    for path, entries in zip(paths, together):
        (alone,) = map(predictor.describe, predictor.predict([path]))
        assert len(alone) == len(entries)
        for one, other in zip(alone, entries):
            for key in ('bbox', 'score', 'classes'):
                if key in one:
                    assert one[key] == pytest.approx(other[key], abs=1e-3)


def test_frames_are_read_as_files_are(load_small, picture):
    for framework in ('mask_rcnn', 'upernet', 'imagenet'):
        predictor = load_small(framework)
        (frame,), (file,) = (predictor.predict([image]) for image in (read_image(picture), picture))
        assert predictor.describe(frame) == predictor.describe(file)


def get_error(config, checkpoint, device='cpu'):
    with pytest.raises(ValueError) as caught:
        load_predictor(str(config), str(checkpoint), device)
    return str(caught.value)


def test_checkpoint_of_another_config(root, tmp_path):
    configs = root / 'configs'
    path = save_random_model(configs / 'retinanet' / 'cednet_nano_shapes.py', tmp_path / 'a.pth')
    message = get_error(configs / 'mask_rcnn' / 'cednet_nano_shapes.py', path)
    assert message.startswith(f'{path} is not a checkpoint of this model: ')


def test_checkpoint_of_other_classes(root, tmp_path):
    config = root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    path = save_random_model(config, tmp_path / 'a.pth', classes=('disc', 'square', 'star', 'triangle'))
    message = (
        f"{path} was trained on other classes: its class 2 is 'star', that of the config 'triangle'"
    )
    assert get_error(config, path) == message


def test_other_configs_and_devices(root, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('model = dict()')
    assert 'the default scope None; choose one of: mmdet, mmseg' in get_error(config, 'x.pth')
    nano = root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    assert "device 'gpu' is unknown" in get_error(nano, 'x.pth', 'gpu')
    assert "device 'cuda:99' is not there" in get_error(nano, 'x.pth', 'cuda:99')
    with pytest.raises(FileNotFoundError, match=r'x\.pth can not be found'):
        load_predictor(str(nano), 'x.pth', 'cpu')
