"""The classification head inside mmpretrain's ImageClassifier."""

import copy

import pytest
import torch
import torch.distributed as dist
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from mmcednet.models import CEDNetClsHead
from mmcednet.models.blocks import MIXERS

PLAIN_LOSS = dict(type='mmpretrain.CrossEntropyLoss')


def build_classifier(small, style='fpn', **head):
    small['num_stages'] = 3
    config = dict(
        type='ImageClassifier',
        backbone=dict(
            type='CEDNet',
            arch=small,
            style=style,
            final_decoder=False,
            out_levels=(5,),
            aux_stages=True,
            aux_level=5,
        ),
        head=dict(type='CEDNetClsHead', num_classes=5, in_channels=32, num_stages=3, **head),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):  # a Runner may have left another
        return MODELS.build(config)


def make_samples(labels):
    return [DataSample().set_gt_label(label) for label in labels]


def test_a_single_head_as_in_the_paper(small):
    """One argument: the loss is that of the last stage alone, and the other heads do not learn."""
    model = build_classifier(small, stage_weights=(0, 0, 1), loss=PLAIN_LOSS).train()
    images, labels = torch.randn(4, 3, 32, 32), [0, 1, 2, 3]
    losses = model.loss(images, make_samples(labels))
    logits = model.head(model.backbone(images))
    torch.testing.assert_close(sum(losses.values()), F.cross_entropy(logits, torch.tensor(labels)))
    sum(losses.values()).backward()
    for stage, fc in enumerate(model.head.fcs):
        assert bool(fc.weight.grad.any()) == (stage == 2)


def test_stages_are_in_order_and_the_last_one_predicts(small):
    model = build_classifier(small).eval().double()
    seen = []
    for stage in model.backbone.stages:
        stage.register_forward_hook(lambda module, args, out: seen.append(out[5]))
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        logits = model(images, mode='tensor')
        stages = model.head.compute_stage_logits(model.extract_feat(images))
    assert logits.shape == (2, 5)
    assert torch.equal(stages[-1], logits)
    head = model.head
    for stage, e5 in enumerate(seen[:3]):
        conv, norm = head.convs[stage]
        x = F.conv2d(e5, conv.weight, conv.bias).permute(0, 2, 3, 1)
        x = F.gelu(F.layer_norm(x, (2048,), norm.weight, norm.bias, 1e-6)).mean((1, 2))
        x = F.layer_norm(x, (2048,), head.norms[stage].weight, head.norms[stage].bias, 1e-6)
        expected = F.linear(x, head.fcs[stage].weight, head.fcs[stage].bias)
        torch.testing.assert_close(stages[stage], expected)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('size', [(1, 1), (1, 2), (2, 2), (4, 4), (8, 9)])
def test_gradients_equal_float64(size, memory_format):
    head = CEDNetClsHead(5, 32, 1, loss=PLAIN_LOSS)
    exact = copy.deepcopy(head).double()
    e5 = torch.randn(2, 32, *size).to(memory_format=memory_format)
    weight = torch.randn(2, 5)
    for module, dtype in ((head, torch.float32), (exact, torch.float64)):
        module([e5.to(dtype)]).backward(weight.to(dtype))
    for ours, theirs in zip(head.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-5 * theirs.grad.abs().max().item()
        )


@pytest.mark.parametrize('weights', [None, (0.2, 0.3, 0.5)])
def test_loss_is_the_weighted_sum_over_the_stages(small, weights):
    model = build_classifier(small, stage_weights=weights, loss=PLAIN_LOSS).train()
    images, labels = torch.randn(4, 3, 64, 64), [0, 3, 1, 4]
    losses = model(images, make_samples(labels), mode='loss')
    assert list(losses) == ['loss_stage1', 'loss_stage2', 'loss_stage3']
    stages = model.head.compute_stage_logits(model.extract_feat(images))
    for weight, logits, loss in zip(weights or (1 / 3,) * 3, stages, losses.values(), strict=True):
        expected = weight * F.cross_entropy(logits, torch.tensor(labels))
        torch.testing.assert_close(loss, expected)


def test_loss_smooths_labels_also_after_mixup(small):
    model = build_classifier(small)
    scores = torch.tensor([[0.7, 0.3, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    mixed = [DataSample().set_gt_score(score) for score in scores]
    images = torch.randn(2, 3, 64, 64)
    losses = model(images, mixed, mode='loss')
    smooth = 0.9 * scores + 0.1 / 5
    for logits, loss in zip(
        model.head.compute_stage_logits(model.extract_feat(images)), losses.values()
    ):
        expected = -(smooth * logits.log_softmax(1)).sum(1).mean() / 3
        torch.testing.assert_close(loss, expected)


def test_predictions_are_those_of_the_last_stage(small):
    model = build_classifier(small).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        scores = model(images, mode='tensor').softmax(1)
        results = model(images, make_samples([0, 1]), mode='predict')
        without = model(images, mode='predict')
    for result, other, score in zip(results, without, scores, strict=True):
        assert torch.equal(other.pred_score, result.pred_score)
        torch.testing.assert_close(result.pred_score, score)
        assert result.pred_label.item() == score.argmax()


@pytest.mark.parametrize('style', ['fpn', 'hourglass'])
def test_distributed_training_finds_no_unused_parameter(tmp_path, small, style):
    store = f'file://{tmp_path}/store'
    dist.init_process_group('gloo', init_method=store, rank=0, world_size=1)
    try:
        model = DistributedDataParallel(build_classifier(small, style), find_unused_parameters=False)
        for _ in range(2):
            losses = model(torch.randn(2, 3, 64, 64), make_samples([0, 1]), mode='loss')
            sum(losses.values()).backward()
    finally:
        dist.destroy_process_group()


def test_mixer_determines_norm_and_activation():
    for mixer, mixer_spec in MIXERS.items():
        head = CEDNetClsHead(3, 32, 1, mixer=mixer, loss=PLAIN_LOSS)
        assert type(head.convs[0][1]) is mixer_spec.norm_act
        assert type(head.act) is mixer_spec.act


def test_initial_scale():
    torch.manual_seed(1)
    plain = CEDNetClsHead(3, 32, 2, loss=PLAIN_LOSS)
    torch.manual_seed(1)
    scaled = CEDNetClsHead(3, 32, 2, init_scale=0.01, loss=PLAIN_LOSS)
    for ours, theirs in zip(scaled.fcs, plain.fcs):
        torch.testing.assert_close(ours.weight, 0.01 * theirs.weight)
        assert not ours.bias.any()


def test_wrong_numbers_of_stages_are_reported(small):
    with pytest.raises(ValueError, match=r'stage_weights \(1, 2\) must have 3 values'):
        build_classifier(small, stage_weights=(1, 2))
    with pytest.raises(ValueError, match="mixer 'mamba' is unknown"):
        build_classifier(small, mixer='mamba')
    head = CEDNetClsHead(3, 32, 2, loss=PLAIN_LOSS)
    with pytest.raises(ValueError, match='the head has 2 stages but got 1 features'):
        head.loss([torch.randn(1, 32, 2, 2)], make_samples([0]))
