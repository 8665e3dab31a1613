"""CBNet: the connections between its backbones."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmcednet.baselines import CBNet

RESNET = dict(type='mmdet.ResNet', depth=18, base_channels=4, norm_eval=False)


def randomize(model):
    """Norms and running statistics that change the features."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)


@pytest.fixture
def triple():
    torch.manual_seed(0)
    model = CBNet(RESNET, num_backbones=3)
    randomize(model)
    return model.eval()


def enlarge(x, size):
    """Each pixel of the result is the one at the same relative place, pixel by pixel."""
    rows = [row * x.shape[2] // size[0] for row in range(size[0])]
    columns = [column * x.shape[3] // size[1] for column in range(size[1])]
    return x[:, :, rows][..., columns]


@pytest.mark.parametrize('size', [(64, 96), (75, 99), (33, 64)])
def test_each_stage_receives_the_next_assistants_output(triple, size):
    triple.double()
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        outs = triple(images)
        features = None
        for number in (2, 1, 0):  # a whole backbone after the other
            backbone = triple.backbones[number]
            x = backbone.maxpool(backbone.norm1(backbone.conv1(images)).relu())
            stages = []
            for i in range(4):
                if features is not None:
                    conv, norm = triple.connections[number][f'layer{i + 1}']
                    received = torch.einsum('oi,nihw->nohw', conv.weight[..., 0, 0], features[i])
                    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
                    shift = norm.bias - norm.running_mean * scale
                    x = x + enlarge(received * scale.view(-1, 1, 1) + shift.view(-1, 1, 1), x.shape[2:])
                x = getattr(backbone, f'layer{i + 1}')(x)
                stages.append(x)
            features = stages
    for ours, expected in zip(outs, features, strict=True):
        torch.testing.assert_close(ours, expected)


def test_levels_are_those_of_the_backbone():
    model = CBNet(dict(RESNET, out_indices=(1, 3)))
    shapes = [tuple(out.shape) for out in model(torch.randn(1, 3, 64, 96))]
    assert shapes == [(1, 8, 8, 12), (1, 32, 2, 3)]


def test_bottlenecks_and_other_stems_have_connections_of_their_widths():
    model = CBNet(dict(type='mmdet.ResNeXt', depth=50, base_channels=4, stem_channels=8, groups=2))
    assert [out.shape[1] for out in model(torch.randn(1, 3, 64, 64))] == [16, 32, 64, 128]
    widths = [(link[0].in_channels, link[0].out_channels) for link in model.connections[0].values()]
    assert widths == [(16, 8), (32, 16), (64, 32), (128, 64)]


def test_gradients_reach_every_parameter():
    model = CBNet(dict(RESNET, zero_init_residual=False), num_backbones=3, norm_eval=False)
    outs = model(torch.randn(2, 3, 64, 64))
    sum(F.mse_loss(out, torch.randn_like(out)) for out in outs).backward()
    assert all(param.grad is not None and param.grad.any() for param in model.parameters())


@pytest.mark.parametrize('norm_eval', [True, False])
def test_statistics_of_the_connections(norm_eval):
    model = CBNet(RESNET, norm_eval=norm_eval)
    model.train()
    model(torch.randn(2, 3, 64, 64))
    changed = [bool(norm.running_mean.any()) for _, norm in model.connections[0].values()]
    assert changed == [not norm_eval] * 4
    assert all(not module.training for module in model.eval().modules())


def test_frozen_stages_of_every_backbone():
    model = CBNet(dict(RESNET, frozen_stages=1)).train()
    for backbone in model.backbones:
        frozen = [name for name, param in backbone.named_parameters() if not param.requires_grad]
        assert {name.split('.')[0] for name in frozen} == {'conv1', 'bn1', 'layer1'}
        assert not backbone.layer1.training


def test_init_cfg_of_the_backbone_is_that_of_each(tmp_path):
    source = CBNet(RESNET).backbones[1]
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'resnet.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'resnet.pth'))
    model = CBNet(dict(RESNET, init_cfg=init_cfg), num_backbones=3)
    model.init_weights()
    for backbone in model.backbones:
        for key, value in source.state_dict().items():
            assert torch.equal(backbone.state_dict()[key], value)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_init_cfg_is_that_of_the_whole(prefix, tmp_path, triple):
    weights = {prefix + key: value for key, value in triple.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'cbnet.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'cbnet.pth'))
    model = CBNet(RESNET, num_backbones=3, init_cfg=init_cfg)
    model.init_weights()
    for key, value in triple.state_dict().items():
        assert torch.equal(model.state_dict()[key], value)


@pytest.mark.parametrize('num_backbones', [1, 0, 2.0, True])
def test_one_backbone_is_an_error(num_backbones):
    with pytest.raises(
        ValueError, match=f'num_backbones {num_backbones} must be an integer of at least'
    ):
        CBNet(RESNET, num_backbones=num_backbones)


def test_a_backbone_of_another_kind_is_an_error():
    with pytest.raises(ValueError, match='backbone ResNetV1d has no conv1, norm1, relu; it must be'):
        CBNet(dict(type='mmdet.ResNetV1d', depth=18))
