"""The worked examples of docs/extending.md run."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from code_blocks import read_code_blocks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from mmcednet.models import CEDNet
from mmcednet.models.blocks import MIXERS

DOCS = Path(__file__).resolve().parents[1] / 'docs'
FILES = {
    code.splitlines()[0].removeprefix('# '): code
    for code in read_code_blocks(DOCS / 'extending.md', 'python')
}


@pytest.fixture
def pool_mixer(tmp_path, monkeypatch):
    """The module of the new token mixer; unregistered after the test."""
    (tmp_path / 'pool_mixer.py').write_text(FILES['pool_mixer.py'])
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(MIXERS)
    yield importlib.import_module('pool_mixer')
    del sys.modules['pool_mixer']
    MIXERS.clear()
    MIXERS.update(before)


@pytest.fixture
def configs(root, tmp_path):
    """A copy of the configs, with those of the examples."""
    folder = tmp_path / 'configs'
    shutil.copytree(root / 'configs', folder)
    for name, code in FILES.items():
        if name.startswith('configs/'):
            path = tmp_path / name
            assert not path.exists(), f'{name} exists: choose another example'
            path.parent.mkdir(exist_ok=True)
            path.write_text(code)
    return folder


def test_new_token_mixer(pool_mixer):
    example = {}
    exec(FILES['use_pool_mixer.py'], example)
    shapes = [tuple(feature.shape) for feature in example['features']]
    assert shapes == [(1, 8, 16, 24), (1, 16, 8, 12), (1, 24, 4, 6), (1, 32, 2, 3)]
    model = example['model']
    assert sum(isinstance(module, pool_mixer.Pool) for module in model.modules()) == 1 + 2 * (1 + 2 + 1)
    for name, param in model.named_parameters():
        assert param.grad is not None, name
        assert param.grad.isfinite().all(), name


def test_new_token_mixer_keeps_as_little_as_the_others(pool_mixer):
    """Of what 'none' keeps: without GELU's output, a third of the numbers of a block are left out."""
    arch = dict(channels=(8, 16, 24, 32), blocks=(2, 2, 2, 2))
    kept = []

    def pack(x):
        kept[-1] += x.numel()
        return x

    for recompute in ('none', 'cheap'):
        model = CEDNet(arch, mixer='pool', recompute=recompute, kernels=False)
        kept.append(0)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(torch.rand(2, 3, 128, 160))
    assert kept[1] < 0.8 * kept[0]


def test_new_token_mixer_equals_its_equation(pool_mixer):
    x = torch.rand(2, 4, 5, 3, dtype=torch.float64)
    expected = torch.empty_like(x)
    for row in range(4):
        for column in range(5):
            neighbours = x[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            expected[:, row, column] = neighbours.mean(dim=(1, 2)) - x[:, row, column]
    torch.testing.assert_close(pool_mixer.Pool()(x), expected)


def test_new_framework(configs):
    cfg = Config.fromfile(configs / 'atss' / 'cednet_t.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert isinstance(model.backbone, CEDNet)
    assert model.backbone.out_strides == tuple(cfg.model.bbox_head.anchor_generator.strides)
    grouped = [param for group in optimizer.param_groups for param in group['params']]
    assert len(grouped) == len(list(model.parameters()))
    with torch.inference_mode():
        scores, boxes, centerness = model.eval()(torch.rand(1, 3, 128, 128), mode='tensor')
    for outs, channels in ((scores, 80), (boxes, 4), (centerness, 1)):
        assert [tuple(out.shape) for out in outs] == [
            (1, channels, size, size) for size in (16, 8, 4, 2, 1)
        ]


def test_new_config(root, configs):
    name = 'retinanet/ablation/cednet_t_unet_without_long_range.py'
    cfg = Config.fromfile(configs / name)
    expected = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')
    expected.model.backbone.update(style='unet', long_range=False)
    assert cfg.to_dict() == expected.to_dict()
    (entry,) = read_code_blocks(DOCS / 'extending.md', 'json')
    recipe = json.loads(f'{{{entry}}}')[name]
    recipes = json.loads((root / 'tests' / 'assets' / 'recipes.json').read_text())
    assert set(recipe['parts']) <= set(recipes['parts'])
    backbone = json.loads(json.dumps(cfg.model.backbone.to_dict()))  # lists for tuples
    assert recipe['model.backbone'] == backbone
    paramwise = cfg.optim_wrapper.paramwise_cfg.to_dict()
    assert recipe['optim_wrapper.paramwise_cfg'].items() <= paramwise.items()
    assert recipe['model.neck'] is cfg.model.neck is None
