"""Checkpoints that would run code are refused; those of trainings are loaded."""

import contextlib
import os
from collections import Counter
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from hostile_checkpoints import write_all
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmcednet.checkpoints import safe_loading
from mmcednet.checkpoints.safe_loading import RefusedError, load_from_file, refuse_code

NAMES = ['copy', 'getattr', 'loads', 'map', 'numpy', 'old_format', 'popen', 'protocol_0']
NAMES += ['protocol_4', 'run_path']


@pytest.fixture(params=['torch', 'unpickler'])
def loader(request, monkeypatch):
    """torch's own refusal, and that of our unpickler for torch before 2.6."""
    if request.param == 'unpickler':
        monkeypatch.setattr(safe_loading, 'has_allow_list', lambda: False)
    elif not safe_loading.has_allow_list():
        pytest.skip('this torch has no list of allowed types')
    return request.param


@pytest.fixture
def hostile(tmp_path):
    marker = tmp_path / 'marker'
    return write_all(tmp_path, marker), marker


def test_ten_ways(hostile):
    assert list(hostile[0]) == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_they_run_code_without_care(hostile, name):
    paths, marker = hostile
    with contextlib.suppress(RuntimeError):  # after the code has run, if it is not in torch's format
        torch.load(paths[name], weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize('name', NAMES)
def test_they_are_refused(hostile, loader, name):
    paths, marker = hostile
    with pytest.raises(RefusedError) as error:
        load_from_file(str(paths[name]))
    assert not marker.exists()
    message = str(error.value)
    if (name, loader) == ('protocol_4', 'torch'):  # torch.save does not write it
        assert message.startswith(f'{paths[name]} cannot be read as a checkpoint')
    else:
        assert message.startswith(f'{paths[name]} contains ')
        assert 'if you trust it, set TORCH_FORCE_WEIGHTS_ONLY_LOAD=0' in message


def test_message_names_the_type(hostile, loader):
    with pytest.raises(RefusedError, match=r'contains shutil\.copyfile, which may run code'):
        load_from_file(str(hostile[0]['copy']))


@pytest.mark.parametrize('new_format', [False, True])
def test_training_state_is_loaded(loader, new_format, tmp_path):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    state = dict(
        state_dict=dict(weight=torch.randn(2), half=torch.ones(1).half(), step=torch.tensor(3)),
        message_hub=dict(log_scalars=dict(loss=history), runtime_info=dict(iter=np.int64(3))),
        best=np.float64(0.5),
        names=np.array(['a', 'b']),
        milestones=Counter([8, 11]),  # of MultiStepLR
        sizes={torch.Size([1]), torch.float16, torch.device('cpu')},
    )
    path = tmp_path / 'state.pth'
    torch.save(state, path, _use_new_zipfile_serialization=new_format)
    loaded = load_from_file(str(path), 'cpu')
    torch.testing.assert_close(loaded['state_dict'], state['state_dict'])
    assert loaded['message_hub']['log_scalars']['loss'].statistics('mean') == 1.5
    assert loaded['message_hub']['runtime_info']['iter'] == 3
    assert loaded['best'] == 0.5
    assert list(loaded['names']) == ['a', 'b']
    assert loaded['sizes'] == state['sizes']


def test_getattr_reaches_methods_of_the_history_only():
    assert safe_loading.get_statistic(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in ((HistoryBuffer, '__init__'), (os, 'system')):
        with pytest.raises(UnpicklingError, match='was not an allowed global'):
            safe_loading.get_statistic(owner, name)


def test_mmengine_refuses(hostile):
    paths, marker = hostile
    refuse_code()
    with pytest.raises(RefusedError):
        CheckpointLoader.load_checkpoint(str(paths['copy']))
    assert not marker.exists()


def test_trusted_files(hostile, monkeypatch):
    paths, marker = hostile
    monkeypatch.setenv(safe_loading.VARIABLE, '0')
    refuse_code()
    assert CheckpointLoader.load_checkpoint(str(paths['copy']))['state_dict']
    assert marker.exists()


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        load_from_file('absent.pth')
