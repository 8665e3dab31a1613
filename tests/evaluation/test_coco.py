"""Which detections and objects are matched."""

import pytest
from pycocotools.coco import COCO

from mmcednet.evaluation.coco import match_detections

CAT, DOG = 7, 3
LEFT, RIGHT = [0, 0, 10, 10], [50, 0, 10, 10]  # boxes


@pytest.fixture
def truth():
    """A cat on the left and a dog on the right of the image 1; a cat in the image 2."""
    coco = COCO()
    objects = [(1, CAT, LEFT), (1, DOG, RIGHT), (2, CAT, LEFT)]
    coco.dataset = dict(
        images=[dict(id=1, width=100, height=100), dict(id=2, width=100, height=100)],
        categories=[dict(id=CAT, name='cat'), dict(id=DOG, name='dog')],
        annotations=[
            dict(id=number, image_id=image, category_id=category, bbox=box, area=100, iscrowd=0)
            for number, (image, category, box) in enumerate(objects, 1)
        ],
    )
    coco.createIndex()
    return coco


@pytest.fixture
def found(truth):
    """Two cats, on the left and, with a lower score, on the right of the image 1."""
    keys = dict(image_id=1, category_id=CAT)
    return truth.loadRes([dict(keys, bbox=LEFT, score=0.9), dict(keys, bbox=RIGHT, score=0.8)])


def get_matches(evaluation):
    """Ids of the objects that the detections of each image match, 0 for none, at the lowest IoU."""
    return [item['dtMatches'][0].tolist() for item in evaluation.evalImgs]


@pytest.mark.parametrize(
    ('cat_ids', 'max_dets', 'by_class', 'matches'),
    [
        ([CAT], 10, True, [1, 0]),
        ([CAT], 1, True, [1]),
        ([CAT, DOG], 10, False, [1, 2]),
        ([CAT], 10, False, [1, 0]),
    ],
)
def test_the_best_are_matched(truth, found, cat_ids, max_dets, by_class, matches):
    evaluation = match_detections(truth, found, 'bbox', [1], cat_ids, max_dets, by_class=by_class)
    assert get_matches(evaluation) == [matches]


def test_precision_is_that_of_the_categories_and_ious(truth, found):
    settings = dict(max_dets=10, iou_thrs=[0.5, 0.9])
    evaluation = match_detections(truth, found, 'bbox', [1, 2], [CAT, DOG], **settings)
    evaluation.accumulate()
    precision = evaluation.eval['precision']  # (IoU, recall, class, size, detections)
    assert precision.shape[0] == 2
    assert precision.shape[2:] == (2, 1, 1)
    assert evaluation.params.catIds == [DOG, CAT]
    recalls = evaluation.params.recThrs
    # of two cats one is found; no dog is
    assert precision[0, :, 1, 0, 0] == pytest.approx((recalls <= 0.5).astype(float))
    assert not precision[0, :, 0].any()
