import pytest
import torch
from mmdet.models.task_modules.assigners import HungarianAssigner
from mmengine.structures import InstanceData
from torch.testing import assert_close

from mmcednet.heads import Float32HungarianAssigner

COSTS = [  # those of Mask2Former
    dict(type='mmdet.ClassificationCost', weight=2.0),
    dict(type='mmdet.CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
    dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0),
]


def make_instances(scale, dtype):
    """Ten predictions, of which three are the objects' masks, with logits of +-scale."""
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(3, 12544, generator=generator) < 0.5).float()
    logits = torch.randn(10, 12544, generator=generator)
    logits[[7, 2, 5]] = masks * 2 - 1
    predictions = InstanceData(
        scores=torch.randn(10, 5, generator=generator).to(dtype), masks=(logits * scale).to(dtype)
    )
    return predictions, InstanceData(labels=torch.tensor([1, 0, 4]), masks=masks)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_masks_find_their_objects_in_low_precision(dtype):
    if dtype == torch.float16 and not hasattr(torch.amp, 'GradScaler'):
        pytest.skip('torch 2.1 has no float16 on the CPU')
    assigner = Float32HungarianAssigner(COSTS)
    with torch.autocast('cpu', dtype=torch.bfloat16 if dtype == torch.float32 else dtype):
        found = assigner.assign(*make_instances(20, dtype))
    assert found.gt_inds.tolist() == [0, 0, 2, 0, 0, 3, 0, 1, 0, 0]
    assert found.labels[[7, 2, 5]].tolist() == [1, 0, 4]


@pytest.mark.skipif(not hasattr(torch.amp, 'GradScaler'), reason='torch 2.1 has no float16 on the CPU')
def test_bad_predictions_get_objects_too():
    """As early in a training. If mmdet's assigner can do it, Mask2Former needs none of its own."""
    instances = make_instances(-20, torch.float16)
    with torch.autocast('cpu', dtype=torch.float16):
        found = Float32HungarianAssigner(COSTS).assign(*instances)
        with pytest.raises(ValueError, match='cost matrix'):
            HungarianAssigner(COSTS).assign(*instances)
    assert sorted(found.gt_inds.tolist()) == [0] * 7 + [1, 2, 3]


def test_equals_mmdet_in_full_precision():
    instances = make_instances(1, torch.float32)
    expected = HungarianAssigner(COSTS).assign(*instances)
    found = Float32HungarianAssigner(COSTS).assign(*instances)
    assert_close(found.gt_inds, expected.gt_inds)
    assert_close(found.labels, expected.labels)


def test_image_without_objects():
    predictions, objects = make_instances(20, torch.float16)
    found = Float32HungarianAssigner(COSTS).assign(predictions, objects[:0])
    assert found.gt_inds.tolist() == [0] * 10
