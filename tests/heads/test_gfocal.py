import pytest
import torch
from mmdet.models.dense_heads import GFLHead
from mmengine.registry import DefaultScope

from mmcednet.heads import GFocalHead
from mmcednet.heads.gfocal import multiply_probabilities

SETTINGS = dict(
    num_classes=3,
    in_channels=8,
    feat_channels=8,
    stacked_convs=1,
    norm_cfg=dict(type='GN', num_groups=2),
    anchor_generator=dict(
        type='AnchorGenerator', ratios=[1.0], octave_base_scale=8, scales_per_octave=1, strides=[8, 16]
    ),
    loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
    loss_bbox=dict(type='GIoULoss'),
)


@pytest.fixture(autouse=True)
def scope():
    """mmdet's registries, as in its detectors."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def test_scores_are_multiplied_by_the_quality_of_the_distributions():
    torch.manual_seed(0)
    head = GFocalHead(**SETTINGS, reg_topk=2, reg_max=4)
    x = torch.randn(1, 8, 2, 3)
    scores, distributions = head.forward_single(x, head.scales[0])
    plain, same = GFLHead.forward_single(head, x, head.scales[0])
    torch.testing.assert_close(distributions, same)
    for row in range(2):
        for column in range(3):
            sides = (
                distributions[0, :, row, column].view(4, 5).softmax(1).sort(1, descending=True).values
            )
            first, second = sides[:, 0], sides[:, 1]
            statistics = torch.stack([first, second, (first + second) / 2], dim=1)
            quality = head.reg_conf(statistics.view(1, 12, 1, 1)).sigmoid().squeeze()
            product = plain[0, :, row, column].sigmoid() * quality
            torch.testing.assert_close(scores[0, :, row, column].sigmoid(), product)


def test_logits_of_a_product():
    a, b = torch.randn(2, 100, dtype=torch.float64) * 5
    expected = (a.sigmoid() * b.sigmoid()).logit()
    torch.testing.assert_close(multiply_probabilities(a, b), expected)


def test_logits_stay_finite_at_the_ends():
    ends = torch.tensor([-200.0, 200.0])
    products = multiply_probabilities(ends[:, None], ends[None])
    torch.testing.assert_close(
        products, torch.tensor([[-400.0, -200.0], [-200.0, 200.0]]), atol=1, rtol=0
    )


@pytest.mark.parametrize('topk', [0, 18])
def test_wrong_topk_is_reported(topk):
    with pytest.raises(ValueError, match=f'reg_topk {topk} must be between 1 and 17'):
        GFocalHead(**SETTINGS, reg_topk=topk)
