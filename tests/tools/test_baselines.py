"""The command that converts a published checkpoint of one of the paper's other networks."""

import runpy
import subprocess
import sys

import pytest
import torch
from parity import assert_parity, load_parity

from mmcednet.baselines import CSWin


@pytest.fixture(scope='module')
def tool(root):
    return root / 'tools' / 'model_converters' / 'baselines.py'


@pytest.fixture(scope='module')
def parity(root):
    return load_parity(root, 'cswin')


@pytest.mark.slow
def test_a_converted_checkpoint_initialises_the_network(tool, parity, tmp_path):
    source, target = tmp_path / 'in.pth', tmp_path / 'new' / 'out.pth'
    torch.save(dict(state_dict=parity['state_dict'] | {'head.bias': torch.zeros(1000)}), source)
    result = subprocess.run(
        [sys.executable, tool, 'cswin', source, target], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f'{target}: {len(parity["state_dict"])} tensors'
    init_cfg = dict(type='Pretrained', checkpoint=str(target))
    model = CSWin(**parity['kwargs'], init_cfg=init_cfg).eval()
    model.init_weights()
    assert_parity(model, parity['input'], parity['outputs'])


def test_errors_are_reported_and_nothing_is_written(tool, parity, tmp_path, capsys):
    main = runpy.run_path(str(tool))['main']
    source, target = tmp_path / 'in.pth', tmp_path / 'out.pth'
    with pytest.raises(SystemExit) as caught:
        main(['cswin', str(source), str(target)])
    assert caught.value.code == f'error: the checkpoint {source} does not exist'
    torch.save({'stage9.weight': torch.zeros(1)}, source)
    with pytest.raises(SystemExit) as caught:
        main(['cswin', str(source), str(target)])
    assert caught.value.code == (
        "error: unexpected key 'stage9.weight' in a published checkpoint of cswin"
    )
    with pytest.raises(SystemExit):
        main(['resnet', str(source), str(target)])
    assert "invalid choice: 'resnet'" in capsys.readouterr().err
    assert not target.exists()
