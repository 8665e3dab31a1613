"""benchmarks/network.py and the straightforward network that it compares with."""

import importlib
import json
import os
import subprocess
import sys

import pytest
import torch

from mmcednet.models import CEDNet
from mmcednet.models.layers import LayerNorm2d


@pytest.fixture
def network():
    return importlib.import_module('network')


@pytest.mark.parametrize('mixer', ['dwconv', 'window', 'conv'])
def test_plain_network_is_the_same(small, mixer):
    build_plain_cednet = importlib.import_module('plain').build_plain_cednet
    small['channels'] = (32, 32, 64, 64)
    model = CEDNet(small, mixer=mixer, layer_scale=0.5, pyramid=dict(channels=8)).eval()
    plain = build_plain_cednet(small, mixer=mixer, layer_scale=0.5, pyramid=dict(channels=8)).eval()
    plain.load_state_dict(model.state_dict())
    assert not any(isinstance(module, LayerNorm2d) for module in plain.modules())
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(model(images), plain(images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_table(network, tmp_path, capsys):
    path = tmp_path / 'new' / 'table.json'
    args = ['tiny', 'plain:tiny', '--size', '64', '64', '--mode', 'train', '--rounds', '4']
    assert network.main([*args, '--profile', '--json', str(path)]) == 0
    ours, plain = json.loads(path.read_text())
    assert (ours['model'], plain['model']) == ('tiny', 'plain:tiny')
    assert ours['speed'] == 1
    assert plain['speed'] == pytest.approx(ours['median (ms)'] / plain['median (ms)'])
    assert ours['params (M)'] == plain['params (M)']
    assert ours['GFLOP'] == pytest.approx(plain['GFLOP'], rel=1e-3)
    assert ours['memory (MiB)'] < 0.75 * plain['memory (MiB)']
    out = capsys.readouterr().out
    assert '| plain:tiny |' in out
    assert 'aten::addmm' in out


@pytest.mark.slow
def test_whole_detectors(root, tmp_path):
    configs = [f'configs/retinanet/{name}.py' for name in ('cednet_nano_shapes', 'r50_fpn')]
    command = [sys.executable, 'benchmarks/network.py', *configs, '--size', '64', '96', '--rounds', '1']
    env = dict(os.environ, PYTHONPATH=str(root))
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split(' | ') for line in done.stdout.splitlines() if line.startswith('| configs/')]
    assert [row[0] for row in rows] == [f'| {config}' for config in configs]
    assert float(rows[1][1]) == pytest.approx(38.0, abs=0.1)  # M parameters of RetinaNet with ResNet-50


@pytest.mark.slow
def test_compiled(network, root, capsys):
    config = str(root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py')
    args = [config, '--part', 'backbone', '--size', '64', '64', '--rounds', '1', '--compile']
    assert network.main(args) == 0
    assert f'| {config} | 0.5 |' in capsys.readouterr().out


def test_errors(network, root):
    with pytest.raises(SystemExit, match='error: huge is neither a config file nor one of: tiny, '):
        network.main(['huge'])
    config = str(root / 'configs' / 'mask_rcnn' / 'cednet_t.py')
    with pytest.raises(SystemExit, match=r'error: whole models must be dense .* use --part backbone'):
        network.main([config, '--size', '32', '32'])
