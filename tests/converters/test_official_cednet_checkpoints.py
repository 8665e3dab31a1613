"""Every released key has one name in our models, and any other key is an error."""

import pytest
import torch
from mmengine.registry import MODELS

from mmcednet.converters import convert_state_dict
from mmcednet.converters.official_cednet import (
    MIXER_TEMPLATES,
    build_rules,
    convert_key,
    detect_mixer,
)

PARITY_FILES = [
    'cls_fpn',
    'det_onestage_fpn',
    'det_onestage_resnet',
    'det_onestage_swin',
    'det_onestage_unet',
    'det_twostage_fpn',
    'seg_fpn',
]
MIXERS = ['dwconv', 'conv', 'window', 'cross_window']


def load_parity(root, name):
    path = root / 'tests' / 'assets' / 'parity' / f'{name}.pth'
    return torch.load(path, weights_only=True)['state_dict']


def build_hourglass(mixer):
    arch = dict(channels=(32, 32, 64, 320), blocks=(1, 2, 2, 1), num_stages=2)
    return MODELS.build(dict(type='CEDNet', arch=arch, style='hourglass', mixer=mixer))


def make_released_names(ours, mixer):
    """Released keys of one of our models, by replacements independent of the converter's tables."""
    blocks = {
        'dwconv': {
            '.dwconv1.': '.dwconv1.0.',
            '.norm1.': '.dwconv1.1.',
            '.dwconv2.': '.dwconv2.0.',
            '.norm2.': '.dwconv2.1.',
        },
        'conv': {
            '.dwconv.': '.dwconv1.0.',
            '.dwconv_norm.': '.dwconv1.1.',
            **{f'.conv{i}.': f'.conv{i}.0.' for i in (1, 2, 3)},
            **{f'.norm{i}.': f'.conv{i}.1.' for i in (1, 2, 3)},
        },
        'window': {
            'mixer.relative_position_bias_table': 'attn.relative_position_bias_table',
            'mixer.': 'attn.',
            'mixer_norm.': 'norm_act1.0.',
            'dwconv_norm.': 'norm_act2.0.',
            'dwconv.': 'dwconv2.',
        },
        'cross_window': {'mixer.branches.': 'attns.', '.lepe.': '.get_v.', 'mixer.': ''},
    }[mixer]
    parts = {
        'stem.conv1': 'stem.0',
        'stem.norm1': 'stem.1',
        'stem.conv2': 'stem.3',
        'stem.norm2': 'stem.4',
        'stem.downsample': 'stages.0.1',
        'stem.blocks': 'stages.0',
        'stages.1': 'stages.2',
        'stages.0.encoder': 'stages.1.encoder',
        'stages.0.decoder': 'stages.1.decoder',
        '.encoder.level3': '.0.encoder.0',
        '.encoder.level4': '.0.encoder.1',
        '.encoder.level5': '.0.encoder.2',
        '.encoder.down4': '.0.encoder_downsample.0',
        '.encoder.down5': '.0.encoder_downsample.1',
        '.decoder.reduce5': '.1.decoder_upsample.0.0',
        '.decoder.reduce4': '.1.decoder_upsample.1.0',
        '.decoder.norm4': '.1.decoder_norm.0',
        '.decoder.norm3': '.1.decoder_norm.1',
        '.decoder.level4': '.1.decoder.0',
        '.decoder.level3': '.1.decoder.1',
        '.decoder.lateral4.0': '.1.lateral.0',
        '.decoder.lateral3.0': '.1.lateral.1',
        '.mlp.': '.',
    }
    names = {}
    for key in ours:
        name = key
        for old, new in (parts | blocks).items():
            name = name.replace(old, new)
        names[key] = name
    return names


@pytest.mark.parametrize('mixer', MIXERS)
def test_all_weights_of_an_hourglass_network_are_renamed(mixer):
    ours = build_hourglass(mixer).state_dict()
    released = {name: ours[key] for key, name in make_released_names(ours, mixer).items()}
    assert detect_mixer(released) == mixer
    converted = convert_state_dict(released)
    assert set(converted) == set(ours)
    assert all(converted[key] is value for key, value in ours.items())


def find_accepted_perturbations(released):
    """Keys with one part dropped or inserted that would convert to a tensor of their own."""
    rules = build_rules(MIXER_TEMPLATES[detect_mixer(released)])
    names = {convert_key(key, rules) for key in released}
    assert None not in names and len(names) == len(released)
    perturbed = set()
    for key in released:
        parts = key.split('.')
        for i in range(len(parts)):
            perturbed.add('.'.join(parts[:i] + parts[i + 1 :]))
        for i in range(len(parts) + 1):
            perturbed.update('.'.join([*parts[:i], part, *parts[i:]]) for part in ('0', 'extra'))
    perturbed -= set(released)
    assert len(perturbed) > 5 * len(released)
    # a duplicate of another key's name is an error too
    return [key for key in perturbed if convert_key(key, rules) not in {None, *names}]


@pytest.mark.parametrize('name', PARITY_FILES)
def test_perturbed_keys_of_released_networks_are_unexpected(root, name):
    assert find_accepted_perturbations(load_parity(root, name)) == []


@pytest.mark.parametrize('mixer', MIXERS)
def test_perturbed_keys_of_hourglass_networks_are_unexpected(mixer):
    names = make_released_names(build_hourglass(mixer).state_dict(), mixer).values()
    assert find_accepted_perturbations(names) == []


def test_prefix_and_keys_of_heads_are_kept(root):
    weights = load_parity(root, 'det_onestage_fpn')
    plain = convert_state_dict(weights)
    parallel = convert_state_dict({f'module.{key}': value for key, value in weights.items()})
    assert set(parallel) == set(plain)
    detector = {f'backbone.{key}': value for key, value in weights.items()}
    heads = {'bbox_head.retina_cls.weight', 'panoptic_head.layers.0.attn.qkv.weight'}
    detector |= {key: torch.zeros(1) for key in heads}
    converted = convert_state_dict(detector)
    assert set(converted) == {f'backbone.{key}' for key in plain} | heads
    assert all(torch.equal(converted[f'backbone.{key}'], value) for key, value in plain.items())


def test_relative_position_indices_are_dropped(root):
    weights = load_parity(root, 'det_onestage_swin')
    indices = [key for key in weights if key.endswith('relative_position_index')]
    converted = convert_state_dict(weights)
    assert indices
    assert len(converted) == len(weights) - len(indices)
    assert not any('relative_position_index' in key for key in converted)


@pytest.mark.parametrize(
    'key',
    [
        'stem.2.weight',
        'stem.0.running_mean',
        'stem.1.running_mean',
        'stages.0.0.conv1.0.running_mean',
        'stages.1.1.lateral.2.norm.weight',
        'stages.1.1.decoder.2.0.norm.weight',
        'stages.0.0.mystery.weight',
        'stages.1.0.encoder.3.0.gamma',
        'stages.1.0.encoder.1.0.dwconv1.0.weight',
        'stages.1.0.encoder.2.0.attns.2.get_v.weight',
        'stages.0.0.encoder.0.0.gamma',
        'stages.1.2.decoder_norm.0.weight',
        'neck.weight',
        'mystery.relative_position_index',
    ],
)
def test_an_unexpected_key_is_reported(key):
    with pytest.raises(ValueError, match=rf"unexpected key '{key}'".replace('.', r'\.')):
        convert_state_dict({key: torch.zeros(1)})


@pytest.mark.parametrize(
    ('marker', 'key'),
    [
        ('stages.0.0.conv1.0.weight', 'stages.1.0.encoder.2.0.dwconv2.0.weight'),
        ('stages.0.0.conv1.0.weight', 'stages.0.0.gamma'),
        ('stages.0.0.attn.qkv.weight', 'stages.0.0.dwconv.weight'),
        ('stages.0.0.attn.qkv.weight', 'stages.0.0.qkv.weight'),
        ('stages.0.0.attns.0.get_v.weight', 'stages.1.0.encoder.2.0.norm_act1.0.weight'),
    ],
)
def test_a_block_of_another_mixer_is_unexpected(marker, key):
    with pytest.raises(ValueError, match=f"unexpected key '{key}'".replace('.', r'\.')):
        convert_state_dict({marker: torch.zeros(1), key: torch.zeros(1)})


def test_two_keys_of_the_same_name_are_unexpected():
    weights = {f'stages.0.{index}.0.weight': torch.zeros(1) for index in (1, 2)}
    with pytest.raises(ValueError, match=r"unexpected key 'stages\.0\.2\.0\.weight'"):
        convert_state_dict(weights)
