"""What a distillation computes: targets, losses, gradients, and what it saves."""

import re

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.models.backbones import ConvNeXt, ResNet

from mmcednet.distillation import FeatureDistillation

CHANNELS = (8, 16, 24, 32)
MEAN, STD = (120.0, 110.0, 100.0), (50.0, 60.0, 70.0)
PREPROCESSOR = dict(type='ImgDataPreprocessor', mean=MEAN, std=STD)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """A ConvNeXt of the widths of the student, whose name is that of its file."""
    torch.manual_seed(0)
    model = ConvNeXt(dict(channels=CHANNELS, depths=(1, 1, 1, 1)), layer_scale_init_value=1.0)
    model.init_weights()
    path = tmp_path_factory.mktemp('teacher') / 'convnext.pth'
    torch.save(model.state_dict(), path)
    return str(path)


@pytest.fixture
def build(teacher, small):
    def build(**settings):
        backbone = dict(dict(type='CEDNet', arch=small), **settings.pop('backbone', {}))
        settings = dict(dict(select=False, size=64), **settings)
        return FeatureDistillation(backbone, teacher, dict(PREPROCESSOR), **settings)

    return build


IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(('normalization', 'dims'), [('batch', (0, 2, 3)), ('channels', 1)])
def test_losses(build, normalization, dims):
    """Mean squared errors to the teacher's normalised features, by its own formula for each level."""
    model = build(normalization=normalization)
    losses = model(IMAGES, mode='loss')
    stds, means = (torch.tensor(values).view(3, 1, 1) for values in (STD, MEAN))
    targets = model.teacher(IMAGES * stds + means)
    features = model.extract(IMAGES)
    assert losses.keys() == {f'loss_level{level}' for level in (2, 3, 4, 5)}
    for level, loss in losses.items():
        level = int(level[-1])
        target = targets[level] - targets[level].mean(dims, keepdim=True)
        target = target / target.pow(2).mean(dims, keepdim=True).sqrt()
        names = ['stem'] if level == 2 else [f'stage{stage}_level{level}' for stage in (1, 2)]
        errors = [(model.projections[name](features[name]) - target).pow(2).mean() for name in names]
        torch.testing.assert_close(loss, torch.stack(errors).mean(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('normalization', ['batch', 'channels'])
def test_constant_features(build, normalization):
    """Of one image of one colour, whose coarsest feature is a single pixel: no loss is infinite."""
    losses = build(normalization=normalization)(torch.full((1, 3, 32, 32), 0.5), mode='loss')
    assert len(losses) == 4 and all(0 <= loss < 10 for loss in losses.values())


def test_batch_normalisation(build):
    """The channels of the features are found without changing the statistics, which learning does."""
    model = build(backbone=dict(mixer='conv'))
    statistics = [value for name, value in model.backbone.named_buffers() if 'running_mean' in name]
    assert statistics and not any(value.any() for value in statistics) and model.backbone.training
    assert sum(model(IMAGES, mode='loss').values()).isfinite()
    assert all(value.any() for value in statistics)


def test_every_weight_learns(build):
    """Also the last decoder's; the teacher's do not."""
    model = build(backbone=dict(layer_scale=1.0))
    sum(model(IMAGES, mode='loss').values()).backward()
    assert all(param.grad is not None and param.grad.abs().sum() > 0 for param in model.parameters())
    assert all(param.grad is None for param in model.teacher.parameters())


def test_saved_weights_are_the_students(build):
    model = build()
    assert {key.split('.')[0] for key in model.state_dict()} == {'backbone', 'projections'}
    model.train()
    assert not model.teacher.training


def test_larger_images_for_the_teacher(build):
    """Its features are resized to the size of the student's."""
    model = build(teacher_scale=2)
    targets = model.compute_targets(IMAGES)
    assert [target.shape[-1] for target in targets.values()] == [32, 16, 8, 4]
    resized = F.interpolate(targets[5], size=(2, 2), mode='bilinear', antialias=True)
    features = model.extract(IMAGES)
    names = ['stage1_level5', 'stage2_level5']
    errors = [F.mse_loss(model.projections[name](features[name]), resized) for name in names]
    loss = model.compute_losses(features, targets)['loss_level5']
    torch.testing.assert_close(loss, torch.stack(errors).mean())


def test_the_size_of_the_teachers_images(small, tmp_path):
    """A network that takes images of 160 px only."""
    timm = pytest.importorskip('timm')
    torch.save(timm.create_model('test_vit_relpos').state_dict(), tmp_path / 'a.pth')
    student, teacher = dict(type='CEDNet', arch=small), f'timm:test_vit_relpos={tmp_path / "a.pth"}'
    model = FeatureDistillation(student, teacher, dict(PREPROCESSOR), size=64, teacher_scale=2.5)
    assert model(IMAGES, mode='loss').keys() == {'loss_level4'}
    with pytest.raises(ValueError, match='does not take images of 128x128 px, --size times --t'):
        FeatureDistillation(student, teacher, dict(PREPROCESSOR), size=64, teacher_scale=2)


def test_a_teacher_in_low_precision(build):
    """Its features are those of float32, up to the rounding of bfloat16; they are given as float32."""
    exact = build().compute_targets(IMAGES)
    rounded = build(teacher_dtype='bfloat16').compute_targets(IMAGES)
    for level, target in exact.items():
        assert rounded[level].dtype == torch.float32
        error = (rounded[level] - target).pow(2).mean().sqrt()
        assert 0 < error < 0.05  # the targets' own root mean square is 1


def test_levels_that_the_teacher_lacks(small, tmp_path, log):
    MMLogger.get_current_instance().setLevel('INFO')
    settings = dict(depth=18, base_channels=8, out_indices=(1,))
    weights = {f'backbone.{key}': value for key, value in ResNet(**settings).state_dict().items()}
    config = Config(dict(model=dict(backbone=dict(type='ResNet', **settings)))).pretty_text
    torch.save(dict(state_dict=weights, meta=dict(cfg=config)), tmp_path / 'resnet.pth')
    student = dict(type='CEDNet', arch=small)
    model = FeatureDistillation(student, str(tmp_path / 'resnet.pth'), dict(PREPROCESSOR), size=64)
    assert list(model.projections) == ['stem', 'stage1_level3', 'stage2_level3']
    assert 'the teacher has features of stride 4, 8\n' in log.text
    assert model(IMAGES, mode='loss').keys() == {'loss_level2', 'loss_level3'}


def test_start_from_the_teachers_weights(build):
    model = build(select=True)
    expected = model.teacher.network.stages[0][0].depthwise_conv.weight
    assert torch.equal(model.backbone.stem.blocks[0].dwconv.weight, expected)
    assert not torch.equal(build().backbone.stem.blocks[0].dwconv.weight, expected)


@pytest.mark.parametrize(
    ('backbone', 'reason'),
    [
        (dict(mixer='conv'), 'a ConvNeXt has no weights for ConvCEDBlock; the mixer must be dwconv'),
        (
            dict(arch=dict(channels=(8, 16, 25, 32), blocks=(1, 1, 1, 1))),
            'CEDNet has 25 channels at stride 16, the ConvNeXt only 24: take a larger ConvNeXt or a '
            'smaller CEDNet',
        ),
    ],
    ids=['mixer', 'narrow'],
)
def test_start_where_the_teacher_does_not_fit(build, backbone, reason, log):
    MMLogger.get_current_instance().setLevel('INFO')
    assert sum(build(select=True, backbone=backbone)(IMAGES, mode='loss').values()).isfinite()
    message = f'nothing is selected from the teacher: {reason}; the network starts from random weights'
    assert message in log.text


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('convnextv2_atto', r'stages_0.blocks.0.mlp.grn.weight is no weight of a ConvNeXt; variants'),
        ('edgenext_xx_small', r'is no weight of a ConvNeXt; variants'),
        ('test_efficientnet', r'the weights are no ConvNeXt \(the first is conv_stem.weight\)'),
    ],
)
def test_start_from_networks_that_are_no_convnext(name, reason, small, tmp_path, log):
    timm = pytest.importorskip('timm')
    MMLogger.get_current_instance().setLevel('INFO')
    torch.save(timm.create_model(name).state_dict(), tmp_path / 'a.pth')
    student, teacher = dict(type='CEDNet', arch=small), f'timm:{name}={tmp_path / "a.pth"}'
    model = FeatureDistillation(student, teacher, dict(PREPROCESSOR), size=64)
    assert sum(model(IMAGES, mode='loss').values()).isfinite()
    assert re.search(f'nothing is selected from the teacher: .*{reason}', log.text)


def test_invalid_settings(build, teacher):
    with pytest.raises(ValueError, match="teacher_dtype 'foo' is unknown; choose one of: bfloat16, "):
        build(teacher_dtype='foo')
    with pytest.raises(ValueError, match="normalization 'layer' is unknown"):
        build(normalization='layer')
    with pytest.raises(ValueError, match='the backbone is SpineNet; only CEDNet can be distilled'):
        FeatureDistillation(dict(type='SpineNet'), teacher, dict(PREPROCESSOR), size=64)
