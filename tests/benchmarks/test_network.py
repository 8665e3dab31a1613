"""benchmarks/network.py."""

import importlib
import json
from contextlib import contextmanager
from functools import partialmethod

import pytest
import torch
from torch import nn

from mmcednet.analysis import speed
from mmcednet.models import kernels


@contextmanager
def fill_uninitialized_memory_with_nan():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.fixture
def network():
    return importlib.import_module('network')


@pytest.fixture(autouse=True)
def fast_machine(monkeypatch):
    monkeypatch.setattr(speed, 'PRODUCT', (64, 64, 64))
    monkeypatch.setattr(speed, 'COPY_BYTES', 2**16)


def test_plain_network_is_plain_torch(network, monkeypatch):
    monkeypatch.delattr(kernels.cpu, 'mlp')  # a call would be an error
    monkeypatch.delattr(kernels.cpu, 'depthwise_conv')
    model = network.build_model('plain:tiny', 'model')
    images = torch.randn(1, 3, 64, 64)
    model(images)
    with pytest.raises(AttributeError):
        network.build_model('tiny', 'model')(images)
    switches = ('recomputes', 'uses_kernels')
    assert not any(getattr(module, name, False) for module in model.modules() for name in switches)


def test_table(network, tmp_path, capsys):
    path = tmp_path / 'new' / 'table.json'
    args = [
        'tiny',
        'plain:tiny',
        'full:tiny',
        '--size',
        '64',
        '64',
        '--mode',
        'train',
        '--device',
        'cpu',
    ]
    assert network.main([*args, '--rounds', '1', '--profile', '--json', str(path)]) == 0
    ours, plain, full = json.loads(path.read_text())
    assert [row['model'] for row in (ours, plain, full)] == ['tiny', 'plain:tiny', 'full:tiny']
    assert ours['speed'] == 1
    assert plain['speed'] == pytest.approx(ours['median (ms)'] / plain['median (ms)'])
    assert ours['params (M)'] == plain['params (M)'] == full['params (M)']
    # images are padded for the dilated convolutions
    assert ours['GFLOP'] == pytest.approx(plain['GFLOP'], rel=0.01)
    assert ours['memory (MiB)'] < 0.75 * plain['memory (MiB)']
    assert full['memory (MiB)'] < 0.5 * ours['memory (MiB)']
    out = capsys.readouterr().out
    assert '| plain:tiny |' in out
    assert 'aten::addmm' in out


def test_memory_in_mixed_precision(network, tmp_path):
    """Most activations are kept with half of the bytes, and the converted weights once more."""
    kept = []
    for dtype in ('float32', 'bfloat16'):
        path = tmp_path / f'{dtype}.json'
        args = [
            'none:tiny',
            '--size',
            '64',
            '192',  # no level is one pixel wide, where a CPU computes in float32
            '--mode',
            'train',
            '--dtype',
            dtype,
            '--device',
            'cpu',
        ]
        assert network.main([*args, '--rounds', '1', '--json', str(path)]) == 0
        row = json.loads(path.read_text())[0]
        kept.append(row['memory (MiB)'])
    weights = 2 * row['params (M)'] * 1e6 / 2**20
    assert 0.4 * kept[0] < kept[1] - weights < 0.8 * kept[0]


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['infer', 'train'])
def test_whole_detectors(network, root, mode, capsys, monkeypatch):
    """Dense, two-stage with masks, and DETR-like ones; no value depends on uninitialised memory."""
    names = ('retinanet/cednet_nano_shapes', 'mask_rcnn/cednet_nano_shapes')
    names += ('deformable_detr/cednet_nano_shapes', 'retinanet/r50_fpn')
    configs = [f'configs/{name}.py' for name in names]
    args = [*configs, '--size', '64', '96', '--rounds', '1', '--mode', mode, '--device', 'cpu']
    monkeypatch.chdir(root)
    with fill_uninitialized_memory_with_nan():
        assert network.main(args) == 0
    out = capsys.readouterr().out
    rows = [line.split(' | ') for line in out.splitlines() if line.startswith('| configs/')]
    assert [row[0] for row in rows] == [f'| {config}' for config in configs]
    assert float(rows[-1][1]) == pytest.approx(
        38.0, abs=0.1
    )  # M parameters of RetinaNet with ResNet-50


@pytest.mark.slow
def test_segmenter(network, root, capsys):
    config = str(root / 'configs' / 'upernet' / 'cednet_nano_shapes.py')
    args = [config, '--size', '64', '64', '--batch', '2', '--rounds', '1', '--device', 'cpu']
    assert network.main([*args, '--mode', 'train']) == 0
    assert f'| {config} |' in capsys.readouterr().out


@pytest.mark.slow
def test_compiled(network, root, capsys, monkeypatch):
    """As torch.compile captures it; torch's own code generator, the default, takes a minute."""
    monkeypatch.setattr(nn.Module, 'compile', partialmethod(nn.Module.compile, backend='aot_eager'))
    config = str(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    args = [config, '--part', 'backbone', '--size', '64', '64', '--rounds', '1', '--compile']
    args += ['--device', 'cpu']
    assert network.main(args) == 0
    assert f'| {config} | 0.5 |' in capsys.readouterr().out


def test_networks_of_timm(network):
    """With an FPN, in one memory layout."""
    pytest.importorskip('timm')
    model = network.build_model('timm:convnext_atto', 'model').eval()
    outs = model(torch.randn(1, 3, 64, 96))
    assert [out.shape[1:] for out in outs] == [
        (256, 8, 12),
        (256, 4, 6),
        (256, 2, 3),
        (256, 1, 2),
        (256, 1, 1),
    ]
    assert model.backbone.stem_0.weight.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match='timm:huge is no network of timm'):
        network.build_model('timm:huge', 'model')


def test_errors(network, capsys):
    with pytest.raises(
        SystemExit, match=r'error: huge is neither a config file nor one of: tiny, .*plain:'
    ):
        network.main(['huge'])
    for args, message in (
        (['tiny', 'tiny'], 'each MODEL must be given once'),
        (['tiny', '--dtype', 'float16', '--device', 'cpu'], '--dtype float16 needs a GPU'),
        (['tiny', '--cuda-graph', '--device', 'cpu'], '--cuda-graph needs a GPU'),
    ):
        with pytest.raises(SystemExit):
            network.main(args)
        assert message in capsys.readouterr().err
