"""The graphs, in torch, predict what the toolboxes predict."""

import cv2
import pytest
import torch

pytest.importorskip('onnxscript')  # of the extra onnx

from mmcednet.export.check import predict_in_torch
from mmcednet.export.onnx_file import build_graph

DETECTORS = ['blood_cells', 'nuclei', 'cascade_mask_rcnn', 'faster_rcnn', 'cascade_rcnn']
DETECTORS += ['deformable_detr', 'one_stage_detr', 'refining_detr']


@pytest.fixture(scope='module')
def pictures(root):
    """Two pictures of cells (80, 120), which are padded to 96x128."""
    paths = sorted((root / 'examples/blood_cells/images').glob('*.jpg'))[:2]
    return [cv2.resize(cv2.imread(str(path)), (120, 80)) for path in paths]


@pytest.mark.parametrize('name', DETECTORS)
def test_detections(load_model, pictures, name):
    predictor = load_model(name)
    graph = build_graph(predictor.inferencer.model)
    with torch.no_grad():
        outputs = graph(torch.stack([torch.from_numpy(picture) for picture in pictures]))
    for index, picture in enumerate(pictures):
        expected = predict_in_torch(predictor, picture).pred_instances
        found = outputs[1][index] > 0
        assert found.sum() == len(expected) > 5
        boxes, scores, labels = (output[index][found] for output in outputs[:3])
        torch.testing.assert_close(scores, expected.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(boxes, expected.bboxes, rtol=0, atol=1e-3)
        assert torch.equal(labels, expected.labels)
        assert (outputs[2][index][~found] == -1).all()
        assert not outputs[0][index][~found].any()


@pytest.mark.parametrize('name', ['upernet', 'hourglass_upernet'])
def test_label_map(load_model, pictures, name):
    predictor = load_model(name)
    graph = build_graph(predictor.inferencer.model)
    with torch.no_grad():
        labels, logits = graph(torch.stack([torch.from_numpy(picture) for picture in pictures]))
    for index, picture in enumerate(pictures):
        sample = predict_in_torch(predictor, picture)
        torch.testing.assert_close(logits[index], sample.seg_logits.data, rtol=1e-5, atol=1e-5)
        same = labels[index] == sample.pred_sem_seg.data[0]
        assert same.float().mean() > 0.999


@pytest.mark.parametrize('name', ['imagenet', 'linear_head'])
def test_class_scores(load_model, pictures, name):
    predictor = load_model(name)
    graph = build_graph(predictor.inferencer.model)
    with torch.no_grad():
        (scores,) = graph(torch.stack([torch.from_numpy(picture) for picture in pictures]))
    for index, picture in enumerate(pictures):
        expected = predict_in_torch(predictor, picture).pred_score
        torch.testing.assert_close(scores[index], expected, rtol=0, atol=1e-5)


def test_fewer_anchors_than_candidates(load_model):
    """Small pictures have fewer anchors than nms_pre and fewer boxes than max_per_img."""
    predictor = load_model('blood_cells')
    graph = build_graph(predictor.inferencer.model)
    picture = torch.randint(256, (1, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        boxes, scores, _ = graph(picture)
    expected = predict_in_torch(predictor, picture[0].numpy()).pred_instances
    assert boxes.shape == (1, 100, 4)
    assert (scores > 0).sum() == len(expected)


def test_unsupported_head(load_model):
    model = load_model('blood_cells').inferencer.model
    head = model.bbox_head
    model.bbox_head = torch.nn.Identity()
    try:
        with pytest.raises(ValueError, match='RetinaNet with Identity cannot be exported; models with'):
            build_graph(model)
    finally:
        model.bbox_head = head


def test_unsupported_loss(load_model):
    model = load_model('deformable_detr').inferencer.model
    model.bbox_head.loss_cls.use_sigmoid = False
    try:
        with pytest.raises(ValueError, match='DeformableDETRHead cannot be exported; it must be a Def'):
            build_graph(model)
    finally:
        model.bbox_head.loss_cls.use_sigmoid = True


def test_unsupported_suppression(load_model):
    model = load_model('blood_cells').inferencer.model
    before = model.test_cfg.nms.type
    model.test_cfg.nms.type = 'soft_nms'
    try:
        with pytest.raises(ValueError, match='soft_nms'):
            build_graph(model)
    finally:
        model.test_cfg.nms.type = before


def test_unsupported_part(load_model):
    model = load_model('nuclei').inferencer.model
    extractor = model.roi_head.mask_roi_extractor
    layers = extractor.roi_layers
    extractor.roi_layers = torch.nn.ModuleList([torch.nn.Identity()])
    try:
        with pytest.raises(
            ValueError, match='MaskRCNN with Identity cannot be exported; its parts may'
        ):
            build_graph(model)
    finally:
        extractor.roi_layers = layers
