"""The command that converts a released checkpoint."""

import runpy
import subprocess
import sys

import pytest
import torch

from mmcednet.converters import convert_state_dict


@pytest.fixture(scope='module')
def tool(root):
    return root / 'tools' / 'model_converters' / 'official_cednet.py'


@pytest.fixture(scope='module')
def main(tool):
    return runpy.run_path(str(tool))['main']


@pytest.mark.slow
def test_checkpoint_is_converted(root, tool, tmp_path):
    parity = root / 'tests' / 'assets' / 'parity' / 'det_onestage_fpn.pth'
    weights = torch.load(parity, weights_only=True)['state_dict']
    source, target = tmp_path / 'in.pth', tmp_path / 'new' / 'out.pth'
    torch.save(dict(model=weights), source)
    result = subprocess.run([sys.executable, tool, source, target], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == f'{target}: {len(weights)} tensors'
    written = torch.load(target, weights_only=True)['state_dict']
    assert set(written) == set(convert_state_dict(weights))


def test_unexpected_key_keeps_the_old_file(main, tmp_path):
    source, target = tmp_path / 'in.pth', tmp_path / 'new' / 'out.pth'
    torch.save(dict(model={'stem.0.weight': torch.zeros(1)}), source)
    assert main([str(source), str(target)]) == 0
    torch.save(dict(model={'stem.9.weight': torch.zeros(1)}), source)
    with pytest.raises(SystemExit) as caught:
        main([str(source), str(target)])
    message = "error: unexpected key 'stem.9.weight' in a released checkpoint with mixer 'dwconv'"
    assert caught.value.code == message  # a string is printed to stderr, with exit code 1
    assert list(target.parent.iterdir()) == [target]
    assert set(torch.load(target, weights_only=True)['state_dict']) == {'stem.conv1.weight'}


def test_other_suffixes_are_refused(main, tmp_path):
    """A pickle named .safetensors could not be loaded."""
    source, target = tmp_path / 'in.pth', tmp_path / 'out.safetensors'
    torch.save(dict(model={'stem.0.weight': torch.zeros(1)}), source)
    with pytest.raises(SystemExit) as caught:
        main([str(source), str(target)])
    assert caught.value.code == f'error: {target} must end in one of: .pth, .pt'
    assert not target.exists()


def test_missing_checkpoint_is_reported(main, tmp_path):
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')])
    assert caught.value.code == f'error: the checkpoint {tmp_path / "in.pth"} does not exist'
    assert not list(tmp_path.iterdir())
