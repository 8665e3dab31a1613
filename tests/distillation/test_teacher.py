"""Teachers: by name or file, with the weights and the normalisation of their images."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmcednet.distillation.teacher import LEVELS, Teacher, build_teacher
from mmcednet.models import CEDNet

CLASSIFIER = """
model = dict(
    backbone=dict(type={kind!r}, **{settings!r}),
    data_preprocessor=dict(mean=[10, 20, 30], std=[1, 2, 3], to_rgb={to_rgb}))
default_scope = 'mmpretrain'
"""
CONVNEXT = dict(arch=dict(channels=(8, 16, 24, 32), depths=(1, 1, 1, 1)))


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64) * 255


def save_backbone(path, kind, settings, **more):
    """Save random weights of a backbone of mmpretrain as those of a classifier; return the backbone."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(type=f'mmpretrain.{kind}', **settings))
    model.init_weights()
    model.train(False)
    weights = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    torch.save(dict(state_dict=weights, **more), path)
    return model


def test_a_checkpoint_that_contains_its_config(images, tmp_path):
    """Also of a network whose config wants its last feature only, and BGR images."""
    settings = dict(depth=18, base_channels=8, stem_channels=8, out_indices=(3,))
    text = CLASSIFIER.format(kind='ResNet', settings=settings, to_rgb=False)
    meta = dict(cfg=text)
    model = save_backbone(tmp_path / 'a.pth', 'ResNet', settings, meta=meta)
    teacher = build_teacher(str(tmp_path / 'a.pth'), 64)
    assert teacher.channels == {2: 8, 3: 16, 4: 32, 5: 64}
    features = teacher(images)
    assert [feature.shape[-1] for feature in features.values()] == [16, 8, 4, 2]
    model.out_indices = (0, 1, 2, 3)
    mean, std = torch.tensor([30, 20, 10]).view(3, 1, 1), torch.tensor([3, 2, 1]).view(3, 1, 1)
    with torch.no_grad():
        for level, expected in zip(LEVELS, model((images - mean) / std)):
            torch.testing.assert_close(features[level], expected, rtol=1e-4, atol=1e-4)
    assert not any(param.requires_grad for param in teacher.parameters())


def test_a_convnext_without_a_config(images, tmp_path):
    settings = dict(**CONVNEXT, out_indices=(0, 1, 2, 3), gap_before_final_norm=False)
    model = save_backbone(tmp_path / 'a.pth', 'ConvNeXt', settings)
    features = build_teacher(str(tmp_path / 'a.pth'), 64)(images)
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    with torch.no_grad():
        for level, expected in zip(LEVELS, model((images - mean) / std)):
            torch.testing.assert_close(features[level], expected, rtol=1e-4, atol=1e-4)


def test_networks_of_mmpretrain(images, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(CLASSIFIER.format(kind='ConvNeXt', settings=CONVNEXT, to_rgb=True))
    save_backbone(tmp_path / 'a.pth', 'ConvNeXt', CONVNEXT)
    teacher = build_teacher(f'mmpretrain:{config}={tmp_path / "a.pth"}', 64)
    assert teacher.channels == {2: 8, 3: 16, 4: 24, 5: 32}
    assert teacher.mean.flatten().tolist() == [10, 20, 30]
    torch.save(dict(state_dict={}), tmp_path / 'b.pth')
    with pytest.raises(ValueError, match=r'b\.pth does not fit the teacher: .* is missing'):
        build_teacher(f'mmpretrain:{config}={tmp_path / "b.pth"}', 64)
    with pytest.raises(ValueError, match=r"mmpretrain has no network named 'x'"):
        build_teacher(f'mmpretrain:x={tmp_path / "a.pth"}', 64)


VIT = dict(arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32), img_size=64)


@pytest.mark.parametrize(
    ('kind', 'settings', 'channels'),
    [
        ('MobileNetV3', dict(arch='small_050'), {2: 8, 3: 16, 4: 24, 5: 288}),
        (
            'PoolFormer',
            dict(arch=dict(layers=[1, 1, 1, 1], embed_dims=[8, 16, 24, 32])),
            {2: 8, 3: 16, 4: 24, 5: 32},
        ),
        ('ResNeXt', dict(depth=50, groups=4, base_channels=8), {2: 32, 3: 64, 4: 128, 5: 256}),
        ('VisionTransformer', dict(**VIT, patch_size=16), {4: 16}),
        ('VisionTransformer', dict(**VIT, patch_size=32, out_indices=[-1]), {5: 16}),
    ],
)
def test_all_levels_of_networks_of_mmpretrain(kind, settings, channels, images, tmp_path):
    """Up to the output that the network has by default, which may be None or count from the end."""
    config = tmp_path / 'config.py'
    config.write_text(CLASSIFIER.format(kind=kind, settings=settings, to_rgb=True))
    model = save_backbone(tmp_path / 'a.pth', kind, settings)
    teacher = build_teacher(f'mmpretrain:{config}={tmp_path / "a.pth"}', 64)
    assert teacher.channels == channels
    if kind == 'VisionTransformer':
        model.out_type = 'featmap'
    with torch.no_grad():
        expected = model((images - teacher.mean) / teacher.std)[-1]
    torch.testing.assert_close(teacher(images)[max(teacher.channels)], expected, rtol=1e-4, atol=1e-4)


def test_networks_of_timm(images, tmp_path):
    timm = pytest.importorskip('timm')
    model = timm.create_model('tf_efficientnet_lite0')
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    teacher = build_teacher(f'timm:tf_efficientnet_lite0={tmp_path / "a.pth"}', 64)
    assert teacher.channels == {2: 24, 3: 40, 4: 112, 5: 320}
    assert teacher.mean.flatten().tolist() == [127.5] * 3  # timm's for this network
    with torch.no_grad():
        expected = model.eval().forward_intermediates((images - 127.5) / 127.5, intermediates_only=True)
    torch.testing.assert_close(teacher(images)[5], expected[-1], rtol=1e-4, atol=1e-4)
    with pytest.raises(
        ValueError, match=r'the teacher timm:resnet10t cannot be built: .* size mismatch'
    ):
        build_teacher(f'timm:resnet10t={tmp_path / "a.pth"}', 64)
    with pytest.raises(ValueError, match="timm has no network named 'x'"):
        build_teacher('timm:x', 64)
    with pytest.raises(FileNotFoundError, match=r'weights of the teacher, gone\.pth, do not exist'):
        build_teacher('timm:resnet10t=gone.pth', 64)


@pytest.mark.parametrize('name', ['test_convnext', 'test_vit', 'test_efficientnet'])
def test_files_of_networks_of_timm(name, images, tmp_path):
    """Of the classifier, also without its head, and of its features, where timm renames some layers."""
    timm = pytest.importorskip('timm')
    classifier = timm.create_model(name, **(dict(dynamic_img_size=True) if 'vit' in name else {}))
    weights = classifier.state_dict()
    torch.save(weights, tmp_path / 'a.pth')
    teacher = build_teacher(f'timm:{name}={tmp_path / "a.pth"}', 64)
    with torch.no_grad():
        normed = (images - teacher.mean) / teacher.std
        expected = classifier.eval().forward_intermediates(normed, norm=False, intermediates_only=True)
    level = max(teacher.channels)
    torch.testing.assert_close(teacher(images)[level], expected[-1], rtol=1e-4, atol=1e-4)
    bodies = {key: value for key, value in weights.items() if not key.startswith('head.fc')}
    for other in (bodies, teacher.network.state_dict()):
        torch.save(other, tmp_path / 'b.pth')
        features = build_teacher(f'timm:{name}={tmp_path / "b.pth"}', 64)(images)
        assert torch.equal(features[level], teacher(images)[level])


@pytest.mark.parametrize(
    ('change', 'missing'),
    [
        (lambda weights: {'unrelated': torch.ones(1)}, 'stem_0.weight'),
        (lambda weights: {f'backbone.{key}': weights[key] for key in weights}, 'stem_0.weight'),
        (
            lambda weights: {k: v for k, v in weights.items() if k != 'stages.3.blocks.0.norm.bias'},
            'stages_3.blocks.0.norm.bias',
        ),
    ],
    ids=['unrelated', 'prefixed', 'incomplete'],
)
def test_files_that_lack_weights_of_a_network_of_timm(change, missing, tmp_path):
    timm = pytest.importorskip('timm')
    torch.save(change(timm.create_model('test_convnext').state_dict()), tmp_path / 'a.pth')
    with pytest.raises(ValueError) as caught:
        build_teacher(f'timm:test_convnext={tmp_path / "a.pth"}', 64)
    assert str(caught.value) == (
        f'{tmp_path / "a.pth"} does not fit the teacher timm:test_convnext: {missing} is missing'
    )


def test_sizes_that_no_stride_divides(tmp_path):
    """Features of 33 px are 9, 5, 3 and 2 px large where convolutions are padded, or 8, 4, 2 and 1."""
    timm = pytest.importorskip('timm')
    for name, sizes in (('test_resnet', [9, 5, 3, 2]), ('test_convnext', [8, 4, 2, 1])):
        torch.save(timm.create_model(name).state_dict(), tmp_path / 'a.pth')
        features = build_teacher(f'timm:{name}={tmp_path / "a.pth"}', 33)(torch.zeros(1, 3, 33, 33))
        assert {level: feature.shape[-1] for level, feature in features.items()} == dict(
            zip(LEVELS, sizes)
        )


@pytest.mark.parametrize(
    ('name', 'size', 'expected'), [('eva02_tiny_patch14_224', 64, 5), ('test_vit', 100, 7)]
)
def test_transformers_whose_patches_do_not_fit(name, size, expected, tmp_path):
    """Images are padded to whole patches."""
    timm = pytest.importorskip('timm')
    torch.save(timm.create_model(name).state_dict(), tmp_path / 'a.pth')
    teacher = build_teacher(f'timm:{name}={tmp_path / "a.pth"}', size)
    features = teacher(torch.zeros(1, 3, size, size))
    assert {level: feature.shape[-1] for level, feature in features.items()} == {4: expected}


def test_a_network_of_one_size(tmp_path):
    timm = pytest.importorskip('timm')
    torch.save(timm.create_model('test_vit_relpos').state_dict(), tmp_path / 'a.pth')
    name = f'timm:test_vit_relpos={tmp_path / "a.pth"}'
    assert build_teacher(name, 160)(torch.zeros(1, 3, 160, 160))[4].shape[-1] == 10
    with pytest.raises(ValueError) as caught:
        build_teacher(name, 96)
    assert str(caught.value) == (
        'the teacher timm:test_vit_relpos cannot be built: the teacher does not take images of 96x96 '
        "px, --size times --teacher-scale: Input height (96) doesn't match model (160)."
    )


class Pooling(torch.nn.Module):
    """Two features of stride 4 and one of stride 16, (N, H, W, C)."""

    def forward(self, x):
        small = torch.nn.functional.avg_pool2d(x, 16)
        large = torch.nn.functional.avg_pool2d(x, 4)
        return [feature.permute(0, 2, 3, 1) for feature in (large, 2 * large, small)]


def test_channels_last_and_missing_levels(images):
    """The last of several features with a stride counts."""
    teacher = Teacher(Pooling(), [0, 0, 0], [1, 1, 1], 64, channels_last=True)
    assert teacher.channels == {2: 3, 4: 3}
    expected = 2 * torch.nn.functional.avg_pool2d(images, 4)
    torch.testing.assert_close(teacher(images)[2], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match='the teacher has no features of stride 4, 8, 16 or 32'):
        Teacher(torch.nn.Identity(), [0, 0, 0], [1, 1, 1], 64)
    with pytest.raises(ValueError, match='the teacher does not take images of 64x64 px, --size times'):
        Teacher(torch.nn.Linear(7, 7), [0, 0, 0], [1, 1, 1], 64)


@pytest.mark.parametrize(
    'settings', [dict(pyramid=dict(channels=12)), dict(out_levels=(5,), aux_stages=True)]
)
def test_a_cednet_as_the_teacher(settings, small, tmp_path):
    """Its levels, not the pyramid of a detector or the features of a classifier."""
    backbone = dict(type='CEDNet', arch=small, **settings)
    model = CEDNet(small, **settings)
    weights = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    cfg = Config(dict(model=dict(backbone=backbone), default_scope='mmdet')).pretty_text
    torch.save(dict(state_dict=weights, meta=dict(cfg=cfg)), tmp_path / 'a.pth')
    assert build_teacher(str(tmp_path / 'a.pth'), 64).channels == dict(zip(LEVELS, small['channels']))


def test_files_that_do_not_name_their_network(tmp_path):
    torch.save(dict(weight=torch.ones(1)), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth does not say of which network .* timm:NAME='):
        build_teacher(str(tmp_path / 'a.pth'), 64)
    with pytest.raises(FileNotFoundError):
        build_teacher('gone.pth', 64)
