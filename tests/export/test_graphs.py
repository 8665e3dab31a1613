"""The graphs, in torch, predict what the toolboxes predict."""

import cv2
import pytest
import torch

pytest.importorskip('onnxscript')  # of the extra onnx

from mmdet.models import SeesawLoss

from mmcednet.export.check import predict_in_torch
from mmcednet.export.onnx_file import build_graph

DETECTORS = ['blood_cells', 'nuclei', 'cascade_mask_rcnn', 'faster_rcnn', 'cascade_rcnn']
DETECTORS += ['deformable_detr', 'one_stage_detr', 'refining_detr']


@pytest.fixture(scope='module')
def pictures(root):
    """Two pictures of cells (80, 120), which are padded to 96x128."""
    paths = sorted((root / 'examples/blood_cells/images').glob('*.jpg'))[:2]
    return [cv2.resize(cv2.imread(str(path)), (120, 80)) for path in paths]


@pytest.fixture
def load_in_float64(load_model):
    """Load a model and compute in float64 during the test: there, both paths round alike."""
    models = []

    def load(name):
        predictor = load_model(name)
        models.append(predictor.inferencer.model.double())
        return predictor

    yield load
    for model in models:
        model.float()


@pytest.mark.parametrize('name', DETECTORS)
def test_detections(load_model, pictures, name):
    """In float32, for which mmcv's suppression is made; the graph in float64 says what that loses."""
    predictor = load_model(name)
    model = predictor.inferencer.model
    graph = build_graph(model)
    images = torch.stack([torch.from_numpy(picture) for picture in pictures])
    with torch.no_grad():
        exact = graph.double()(images)
        outputs = graph.float()(images)
    for index, picture in enumerate(pictures):
        expected = predict_in_torch(predictor, picture).pred_instances
        found = outputs[1][index] > 0
        assert torch.equal(found, exact[1][index] > 0)
        assert found.sum() == len(expected) > 5
        boxes, scores, labels = (output[index][found] for output in outputs[:3])
        for ours, theirs, precise, limit in (
            (boxes, expected.bboxes, exact[0][index][found], 1e-3),
            (scores, expected.scores, exact[1][index][found], 1e-5),
        ):
            lost = (ours - precise).abs().max().item()
            assert lost < limit
            torch.testing.assert_close(ours, theirs, rtol=0, atol=10 * lost)
        assert torch.equal(labels, expected.labels)
        assert (outputs[2][index][~found] == -1).all()
        assert not outputs[0][index][~found].any()


@pytest.mark.parametrize('name', ['upernet', 'hourglass_upernet'])
def test_label_map(load_in_float64, pictures, name):
    predictor = load_in_float64(name)
    graph = build_graph(predictor.inferencer.model)
    with torch.no_grad():
        labels, logits = graph(torch.stack([torch.from_numpy(picture) for picture in pictures]))
    for index, picture in enumerate(pictures):
        sample = predict_in_torch(predictor, picture)
        torch.testing.assert_close(logits[index], sample.seg_logits.data)
        assert torch.equal(labels[index], sample.pred_sem_seg.data[0])


@pytest.mark.parametrize('name', ['imagenet', 'linear_head'])
def test_class_scores(load_in_float64, pictures, name):
    predictor = load_in_float64(name)
    graph = build_graph(predictor.inferencer.model)
    with torch.no_grad():
        (scores,) = graph(torch.stack([torch.from_numpy(picture) for picture in pictures]))
    for index, picture in enumerate(pictures):
        expected = predict_in_torch(predictor, picture).pred_score
        torch.testing.assert_close(scores[index], expected)


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


@pytest.mark.parametrize('name', ['blood_cells', 'nuclei'])
def test_scores_of_a_loss(load_model, name):
    model = load_model(name).inferencer.model
    head = model.roi_head.bbox_head if name == 'nuclei' else model.bbox_head
    before, head.loss_cls = head.loss_cls, SeesawLoss(num_classes=head.num_classes)
    try:
        with pytest.raises(ValueError, match='Head with SeesawLoss, which computes scores in its own'):
            build_graph(model)
    finally:
        head.loss_cls = before


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
