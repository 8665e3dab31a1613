"""RevCol: shapes, options, the depths of its parameters, and its weights from checkpoints."""

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmcednet.baselines import RevCol
from mmcednet.baselines.revcol import ConvBlock
from mmcednet.models.layers import DropPath

SMALL = dict(channels=(4, 6, 8, 10), blocks=(1, 2, 3, 1), num_columns=3)
RATE = 0.5


@pytest.mark.parametrize('reversible', [True, False])
@pytest.mark.parametrize('size', [(32, 32), (33, 47), (96, 128), (101, 75)])
def test_shapes(size, reversible):
    """Sizes are rounded down at each step; features are contiguous, for RoIAlign."""
    model = MODELS.build(dict(type='RevCol', **SMALL, reversible=reversible)).train()
    features = model(torch.randn(2, 3, *size))
    height, width = size[0] // 4, size[1] // 4
    for feature, channels, stride in zip(features, (4, 6, 8, 10), (4, 8, 16, 32), strict=True):
        assert feature.shape == (2, channels, height, width)
        assert feature.is_contiguous()
        assert model.out_channels[model.out_strides.index(stride)] == channels
        height, width = height // 2, width // 2


@pytest.mark.parametrize(
    ('kwargs', 'params_m'),
    [
        (dict(), 29.94),
        (dict(num_columns=8), 60.05),
        (dict(channels=(72, 144, 288, 576), blocks=(1, 1, 3, 2), num_columns=16), 138.04),
    ],
)
def test_parameters(kwargs, params_m):
    """30, 60 and 138 M in RevCol's Table 1, of T, S and B."""
    with torch.device('meta'):
        model = RevCol(**kwargs)
    assert sum(param.numel() for param in model.parameters()) / 1e6 == pytest.approx(
        params_m, abs=0.005
    )


def normalize(x):
    """LayerNorm over the channels, without its weights."""
    x = x - x.mean(1, keepdim=True)
    return x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()


def test_level_against_its_description():
    """The fusion of two levels and a block, each step written out, with the initial norms."""
    model = RevCol(**SMALL).double()
    level = model.columns[1][1]
    block = level.blocks[0]
    level.blocks = nn.Sequential(block)
    nn.init.normal_(block.mlp.gamma)
    below, above = torch.randn(1, 4, 9, 14).double(), torch.randn(1, 8, 2, 3).double()
    down = normalize(F.conv2d(below[..., :8, :14], level.down[0].weight, stride=2))
    mixed = normalize(torch.einsum('oc,nchw->nohw', level.up[0].weight, above))
    rows, columns = torch.arange(4) * 2 // 4, torch.arange(7) * 3 // 7
    fused = down + mixed[:, :, rows][..., columns]
    y = normalize(F.conv2d(fused, block.dwconv.weight, padding=1, groups=6))
    hidden = F.gelu(torch.einsum('oc,nchw->nohw', block.mlp.pwconv1.weight, y))
    y = torch.einsum('oc,nchw->nohw', block.mlp.pwconv2.weight, hidden)
    torch.testing.assert_close(level(below, above), fused + y * block.mlp.gamma[:, None, None])


def test_every_parameter_has_a_gradient():
    model = RevCol(**SMALL)
    sum(feature.square().sum() for feature in model(torch.randn(1, 3, 64, 64))).backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and param.grad.any(), name


def test_drop_path_rates():
    """They increase from 0 within each column."""
    model = RevCol(**SMALL, drop_path_rate=0.3)
    expected = torch.linspace(0, 0.3, 7).tolist()
    for column in model.columns:
        assert [part.rate for part in column.modules() if isinstance(part, DropPath)] == expected


def test_block_drops_whole_samples():
    torch.manual_seed(0)
    block = ConvBlock(4).train()
    block.drop_path.set_rate(0.5)
    nn.init.ones_(block.mlp.gamma)
    x = torch.randn(64, 4, 4, 4)
    change = (block(x) - x).flatten(1).abs().sum(1)
    assert 10 < (change == 0).sum() < 54
    residual = (block.eval()(x) - x).flatten(1).abs().sum(1)
    kept = change != 0
    torch.testing.assert_close(change[kept], 2 * residual[kept])


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(channels=(4, 6, 8)), r'channels \(4, 6, 8\) must be four positive integers'),
        (dict(blocks=(1, 1, 0, 1)), r'blocks \(1, 1, 0, 1\) must be four positive integers'),
        (dict(num_columns=0), 'num_columns 0 must be a positive integer'),
        (dict(keep_every=1.5), 'keep_every 1.5 must be a positive integer'),
        (dict(drop_path_rate=1), r'drop_path_rate 1 must be in \[0, 1\)'),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        RevCol(**dict(SMALL, **kwargs))


def test_small_images_are_refused():
    with pytest.raises(ValueError, match='the images are 64x31 pixels; RevCol needs at least 32x32'):
        RevCol(**SMALL)(torch.randn(1, 3, 64, 31))


def test_initial_weights():
    """Truncated normal with std 0.02, biases 0; layer scale 1e-6, shortcuts 0.5."""
    model = RevCol((32, 32, 64, 64), (1, 1, 1, 1), 2)
    weight = model.columns[1][2].blocks[0].mlp.pwconv1.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    for name, param in model.named_parameters():
        if name.endswith('bias'):
            assert not param.any(), name
        elif name.endswith('gamma'):
            assert (param == (1e-6 if 'mlp' in name else 0.5)).all(), name


def compute_published_depths(blocks, columns):
    """A cell's depth is one more than the smaller one of the cells above it and left of it, from 1."""
    depths = [[0] * columns for _ in range(blocks)]
    for i in range(blocks):
        for j in range(columns):
            before = [depths[i - 1][j]] * (i > 0) + [depths[i][j - 1]] * (j > 0)
            depths[i][j] = 1 + min(before, default=0)
    return depths


def test_depths():
    model = RevCol(**SMALL)
    depths = compute_published_depths(7, 3)
    first_blocks = (0, 1, 3, 6)
    for name, _ in model.named_parameters():
        part, *rest = name.split('.')
        if part == 'stem':
            expected = 0
        elif rest[2] == 'gamma':
            expected = depths[0][int(rest[0])]
        else:
            block = int(rest[3]) if rest[2] == 'blocks' else 0
            expected = depths[first_blocks[int(rest[1])] + block][int(rest[0])]
        assert model.get_decay_depth(name, 'layer_wise') == expected, name


def test_wrong_depths():
    model = RevCol(**SMALL)
    with pytest.raises(ValueError, match=r"RevCol has no parameter 'columns.0.0.gamma'"):
        model.get_decay_depth('columns.0.0.gamma', 'layer_wise')
    with pytest.raises(ValueError, match="decay_type 'fine' is unknown; choose one of: layer_wise"):
        model.get_decay_depth('stem.0.weight', 'fine')


class Detector(BaseModule):
    def __init__(self):
        super().__init__()
        self.backbone = RevCol(**SMALL)
        self.head = nn.Conv2d(4, 3, 1)


def test_learning_rates():
    """The heads have the base learning rate, the last block one decay less; shortcuts do not decay."""
    model = Detector()
    top = 7 + 3  # blocks of a column + columns
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.05),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(decay_type='layer_wise', decay_rate=RATE, num_layers=top - 1),
        ),
    )
    names = {param: name for name, param in model.named_parameters()}
    found = {
        names[param]: (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    assert set(found) == set(names.values())
    assert found['head.weight'] == (1.0, 0.05)
    assert found['backbone.stem.0.weight'] == (pytest.approx(RATE**top), 0.05)
    assert found['backbone.columns.2.3.blocks.0.dwconv.weight'] == (pytest.approx(RATE), 0.05)
    assert found['backbone.columns.2.3.gamma'] == (pytest.approx(RATE ** (top - 3)), 0.0)
    assert found['backbone.columns.0.1.down.0.bias'] == (pytest.approx(RATE ** (top - 2)), 0.0)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_pretrained(tmp_path, prefix):
    """mmengine's init_cfg, which tools/train.py --pretrained sets."""
    source = RevCol(**SMALL)
    path = tmp_path / 'revcol.pth'
    torch.save(dict(state_dict={prefix + key: v for key, v in source.state_dict().items()}), path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    if prefix:
        init_cfg['prefix'] = prefix
    model = RevCol(**SMALL, init_cfg=init_cfg)
    model.init_weights()
    for key, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[key]), key
