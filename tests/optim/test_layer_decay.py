"""Layer-wise learning rates against the depths as the recipes state them."""

import pytest
from mmengine.model import BaseModule
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmcednet.models import CEDNet
from mmcednet.models.blocks import MIXERS

LR, DECAY = 1e-3, 0.05
ARCH = dict(channels=(4, 6, 8, 10), blocks=(2, 2, 6, 2), num_stages=3)

# (depth in 'coarse', depth in 'fine'); None: the learning rate of the heads
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


def test_other_optimizers():
    model = BaseModule()
    model.backbone = CEDNet(ARCH)

    def build(**optimizer):
        settings = dict(decay_type='coarse', decay_rate=0.95, num_layers=4)
        wrapper = dict(optimizer=optimizer, constructor='LayerDecayOptimWrapperConstructor')
        return build_optim_wrapper(model, dict(wrapper, paramwise_cfg=settings))

    groups = build(type='SGD', lr=0.1, momentum=0.9).param_groups
    assert {group['weight_decay'] for group in groups} == {0.0}
    with pytest.raises(ValueError, match=r'Constructor needs optim_wrapper\.optimizer\.lr'):
        build(type='AdamW', weight_decay=0.05)


@pytest.mark.parametrize(('name', 'depths'), EXPECTED.items())
def test_depths(name, depths):
    model = CEDNet(ARCH, pyramid=dict(channels=4))
    assert name in dict(model.named_parameters())
    assert tuple(model.get_decay_depth(name, kind) for kind in ('coarse', 'fine')) == depths


@pytest.mark.parametrize('mixer', MIXERS)
def test_depths_of_other_mixers_and_styles(mixer):
    arch = dict(channels=(32, 32, 64, 320), blocks=(2, 2, 6, 2), num_stages=2)
    model = CEDNet(arch, 'hourglass', mixer, pyramid=dict(channels=4))
    for name, _ in model.named_parameters():
        depths = tuple(model.get_decay_depth(name, kind) for kind in ('coarse', 'fine'))
        if name.startswith('stem.'):
            assert depths == ((0, 0) if name[5:9] in ('conv', 'norm') else (1, 1))
        elif name.startswith('pyramid.'):
            assert depths == (None, None)
        else:
            stage = int(name[7]) + 1
            first = name[9:].startswith(('encoder.level3', 'encoder.down4', 'encoder.level4'))
            assert depths == (stage + 1, 2 * stage + (0 if first else 1)), name


@pytest.mark.parametrize('name', ['neck.weight', 'stages.0.encoder.level6.0.weight', 'stem.conv'])
def test_unknown_parameter_is_reported(name):
    with pytest.raises(ValueError, match=f"CEDNet has no parameter '{name}'"):
        CEDNet(ARCH).get_decay_depth(name, 'fine')


def test_unknown_decay_type_is_reported():
    with pytest.raises(ValueError, match="decay_type 'medium' is unknown; choose one of: coarse, fine"):
        CEDNet(ARCH).get_decay_depth('stem.conv1.weight', 'medium')


class Detector(BaseModule):
    def __init__(self):
        super().__init__()
        self.backbone = CEDNet(ARCH, pyramid=dict(channels=4), frozen_stages=0)
        self.head = nn.Conv2d(4, 3, 1)
        self.offsets = nn.Linear(4, 2)


def compute_rates(model, **paramwise):
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise,
        ),
    )
    found = {}
    names = {id(param): name for name, param in model.named_parameters()}
    for group in wrapper.optimizer.param_groups:
        for param in group['params']:
            assert names[id(param)] not in found
            found[names[id(param)]] = (group['lr'], group['weight_decay'])
    return found


@pytest.mark.parametrize(('decay_type', 'layers'), [('coarse', 4), ('fine', 7), ('fine', 5)])
def test_rates_and_weight_decay(decay_type, layers):
    model = Detector()
    found = compute_rates(model, decay_type=decay_type, decay_rate=0.7, num_layers=layers)
    trained = {name: param for name, param in model.named_parameters() if param.requires_grad}
    assert set(found) == set(trained)
    column = ('coarse', 'fine').index(decay_type)
    for name, depths in EXPECTED.items():
        if name.startswith('stem'):
            continue  # frozen
        top = layers + 1
        depth = top if depths[column] is None else depths[column]
        assert found[f'backbone.{name}'][0] == pytest.approx(min(LR, LR * 0.7 ** (top - depth)))
    assert found['head.weight'] == (LR, DECAY)
    for name, param in trained.items():
        no_decay = param.ndim == 1 or name.endswith('.bias')
        assert found[name][1] == (0 if no_decay else DECAY), name


def test_settings_of_the_heads():
    """Outside the backbone: one weight decay for all parameters, and factors by name."""
    model = Detector()
    found = compute_rates(
        model,
        decay_type='coarse',
        decay_rate=0.7,
        num_layers=4,
        head_weight_decay=1e-4,
        custom_keys=dict(offsets=dict(lr_mult=0.1)),
    )
    assert found['head.weight'] == found['head.bias'] == (LR, 1e-4)
    assert found['offsets.weight'] == (pytest.approx(0.1 * LR), 1e-4)
    assert found['backbone.pyramid.extras.0.0.weight'] == (LR, DECAY)
    assert found['backbone.pyramid.extras.0.0.bias'] == (LR, 0.0)


@pytest.mark.parametrize('keys', [('head', 'head.bias'), ('head.bias', 'head')])
def test_the_longest_custom_key_counts(keys):
    """As in mmengine, in whatever order a config lists them."""
    factors = {'head': dict(lr_mult=0.5), 'head.bias': dict(lr_mult=0.1)}
    custom_keys = {key: factors[key] for key in keys}
    found = compute_rates(
        Detector(), decay_type='coarse', decay_rate=0.7, num_layers=4, custom_keys=custom_keys
    )
    assert found['head.weight'][0] == pytest.approx(0.5 * LR)
    assert found['head.bias'][0] == pytest.approx(0.1 * LR)


def test_one_line_per_group(monkeypatch):
    from mmcednet.optim import layer_decay

    lines = []
    monkeypatch.setattr(layer_decay, 'print_log', lambda text, logger: lines.append(text))
    model = Detector()
    found = compute_rates(model, decay_type='coarse', decay_rate=0.5, num_layers=4)
    assert len(lines) == len(set(found.values()))
    counts = sum(int(line.split(', ')[-1].split()[0].replace(',', '')) for line in lines)
    assert counts == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert any('lr 1.000e-03, weight decay 0.05' in line for line in lines)


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [
        (
            dict(decay_type='middle', decay_rate=0.9, num_layers=4),
            "decay_type 'middle' is unknown; choose one of: coarse, fine",
        ),
        (dict(decay_type='fine', decay_rate=0, num_layers=4), 'decay_rate 0 must be'),
        (dict(decay_type='fine', decay_rate=0.9), 'decay_type, decay_rate and num_layers'),
        (
            dict(
                decay_type='fine',
                decay_rate=0.9,
                num_layers=4,
                custom_keys=dict(head=dict(decay_mult=0.0)),
            ),
            "custom_keys 'head': .* must be a dict of lr_mult alone",
        ),
    ],
)
def test_wrong_settings(paramwise, message):
    with pytest.raises(ValueError, match=message):
        compute_rates(Detector(), **paramwise)


@pytest.mark.parametrize(
    ('backbone', 'message'), [(None, 'Module is NoneType'), (nn.Linear(2, 2), 'Module is Linear')]
)
def test_other_backbones_are_refused(backbone, message):
    model = nn.Module()
    model.backbone, model.head = backbone, nn.Linear(2, 2)
    with pytest.raises(
        ValueError, match=f'needs a model with a CEDNet or RevCol as backbone; .* {message}'
    ):
        compute_rates(model, decay_type='coarse', decay_rate=0.9, num_layers=4)


def test_convnext_needs_a_weight_decay_of_the_heads():
    wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=LR),
        constructor='ConvNeXtOptimWrapperConstructor',
        paramwise_cfg=dict(decay_rate=0.9, num_layers=6),
    )
    with pytest.raises(ValueError, match=r'must have head_weight_decay; without one, use mmdet'):
        build_optim_wrapper(Detector(), wrapper)
