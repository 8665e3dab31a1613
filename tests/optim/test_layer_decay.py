"""Layer-wise rates against the groups as recipes state them."""

import pytest
from mmengine.model import BaseModule
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmcednet.models import CEDNet
from mmcednet.models.blocks import MIXERS
from mmcednet.optim.layer_decay import layer_group

LR, DECAY = 1e-3, 0.05
ARCH = dict(channels=(4, 6, 8, 10), blocks=(2, 2, 6, 2), num_stages=3)

# (group in 'coarse', group in 'fine'); T is the top, num_layers + 1
EXPECTED = {
    'stem.conv1.weight': (0, 0),
    'stem.norm2.bias': (0, 0),
    'stem.blocks.1.mlp.gamma': (1, 1),
    'stem.downsample.0.weight': (1, 1),
    'stem.downsample.1.weight': (1, 1),
    'stages.0.encoder.level3.1.dwconv.weight': (2, 2),
    'stages.0.encoder.down4.0.weight': (2, 2),
    'stages.0.encoder.level4.3.norm.weight': (2, 2),
    'stages.0.encoder.level4.4.norm.weight': (2, 3),
    'stages.0.encoder.down5.1.bias': (2, 3),
    'stages.0.encoder.level5.0.dwconv2.weight': (2, 3),
    'stages.0.decoder.reduce4.weight': (2, 3),
    'stages.2.encoder.level4.0.norm.weight': (4, 6),
    'stages.2.encoder.level5.1.mlp.gamma': (4, 7),
    'stages.2.decoder.norm3.weight': (4, 7),
    'pyramid.extras.0.0.weight': (None, None),
}


@pytest.mark.parametrize(('name', 'groups'), EXPECTED.items())
def test_groups(name, groups):
    assert name in dict(CEDNet(ARCH, pyramid=dict(channels=4)).named_parameters())
    assert (layer_group(name, 'coarse'), layer_group(name, 'fine')) == groups


@pytest.mark.parametrize('mixer', MIXERS)
def test_groups_of_the_other_mixers_and_styles(mixer):
    arch = dict(channels=(32, 32, 64, 320), blocks=(2, 2, 6, 2), num_stages=2)
    model = CEDNet(arch, 'hourglass', mixer, pyramid=dict(channels=4))
    for name, _ in model.named_parameters():
        groups = (layer_group(name, 'coarse'), layer_group(name, 'fine'))
        if name.startswith('stem.'):
            assert groups == ((0, 0) if name[5:9] in ('conv', 'norm') else (1, 1))
        elif name.startswith('pyramid.'):
            assert groups == (None, None)
        else:
            stage = int(name[7]) + 1
            first = name[9:].startswith(('encoder.level3', 'encoder.down4', 'encoder.level4'))
            assert groups == (stage + 1, 2 * stage + (0 if first else 1)), name


@pytest.mark.parametrize('name', ['neck.weight', 'stages.0.encoder.level6.0.weight', 'stem.conv'])
def test_unknown_parameter_is_named(name):
    with pytest.raises(ValueError, match=f"no layer group for the backbone parameter '{name}'"):
        layer_group(name, 'fine')


class Detector(BaseModule):
    def __init__(self):
        super().__init__()
        self.backbone = CEDNet(ARCH, pyramid=dict(channels=4), frozen_stages=0)
        self.head = nn.Conv2d(4, 3, 1)


def rates(model, **paramwise):
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise,
        ),
    )
    of = {}
    names = {id(param): name for name, param in model.named_parameters()}
    for group in wrapper.optimizer.param_groups:
        for param in group['params']:
            assert names[id(param)] not in of
            of[names[id(param)]] = (group['lr'], group['weight_decay'])
    return of


@pytest.mark.parametrize(('decay_type', 'layers'), [('coarse', 4), ('fine', 7), ('fine', 5)])
def test_rates_and_weight_decay(decay_type, layers):
    model = Detector()
    of = rates(model, decay_type=decay_type, decay_rate=0.7, num_layers=layers)
    trained = {name: param for name, param in model.named_parameters() if param.requires_grad}
    assert set(of) == set(trained)
    column = ('coarse', 'fine').index(decay_type)
    for name, groups in EXPECTED.items():
        if name.startswith('stem'):
            continue  # frozen
        top = layers + 1
        group = top if groups[column] is None else groups[column]
        assert of[f'backbone.{name}'][0] == pytest.approx(min(LR, LR * 0.7 ** (top - group)))
    assert of['head.weight'] == (LR, DECAY)
    for name, param in trained.items():
        no_decay = param.ndim == 1 or name.endswith('.bias')
        assert of[name][1] == (0 if no_decay else DECAY), name


def test_one_line_per_group(monkeypatch):
    from mmcednet.optim import layer_decay

    lines = []
    monkeypatch.setattr(layer_decay, 'print_log', lambda text, logger: lines.append(text))
    model = Detector()
    of = rates(model, decay_type='coarse', decay_rate=0.5, num_layers=4)
    assert len(lines) == len(set(of.values()))
    counts = sum(int(line.split(', ')[-1].split()[0].replace(',', '')) for line in lines)
    assert counts == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert any('lr 1.000e-03, weight decay 0.05' in line for line in lines)


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [
        (
            dict(decay_type='middle', decay_rate=0.9, num_layers=4),
            "'middle' must be one of: coarse, fine",
        ),
        (dict(decay_type='fine', decay_rate=0, num_layers=4), 'decay_rate 0 must be'),
        (dict(decay_type='fine', decay_rate=0.9), 'decay_type, decay_rate and num_layers'),
    ],
)
def test_wrong_settings(paramwise, message):
    with pytest.raises(ValueError, match=message):
        rates(Detector(), **paramwise)


def test_a_model_without_backbone_is_refused():
    with pytest.raises(ValueError, match=r"no parameters under 'backbone\.'"):
        rates(nn.Linear(2, 2), decay_type='fine', decay_rate=0.9, num_layers=4)


def test_foreign_backbone_is_refused():
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="no layer group for the backbone parameter 'weight'"):
        rates(model, decay_type='coarse', decay_rate=0.9, num_layers=4)
