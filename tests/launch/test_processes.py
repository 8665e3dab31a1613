"""The process group, and whether torchrun has started it again."""

import datetime
import os

import pytest
import torch
from mmengine.config import Config

from mmcednet.launch import processes


@pytest.mark.parametrize('seconds', [None, 40])
def test_the_timeout_of_gpus_is_that_of_cpus_too(root, monkeypatch, seconds):
    calls = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda *args, **kwargs: calls.append((args, kwargs))
    )
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')
    cfg.launcher = 'pytorch'
    cfg.env_cfg.dist_cfg.timeout = seconds
    processes.init_process_group(cfg)
    settings = {} if seconds is None else dict(timeout=datetime.timedelta(seconds=40))
    assert calls == [(('gloo',), settings)]


@pytest.mark.parametrize(
    ('launcher', 'variable'), [('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_LOCAL_RANK')]
)
def test_a_launcher_that_has_not_started_the_process(monkeypatch, launcher, variable):
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv('LOCAL_RANK', '0')  # which is set for mpi, and restored after the test
    with pytest.raises(ValueError, match=f'--launcher {launcher} needs {variable}, which'):
        processes.init_process_group(Config(dict(launcher=launcher)))
    monkeypatch.setenv(variable, '0')
    processes.init_process_group(Config(dict(launcher=launcher)))


def test_the_gpu_of_a_process_of_mpi(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')  # the default of --local-rank
    monkeypatch.setenv('OMPI_COMM_WORLD_LOCAL_RANK', '3')
    processes.init_process_group(Config(dict(launcher='mpi')))
    assert os.environ['LOCAL_RANK'] == '3'


@pytest.mark.parametrize(('allowed', 'expected'), [(0, False), (3, True)])
def test_restarts_are_found(monkeypatch, allowed, expected):
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', str(allowed))
    assert processes.is_restartable() == expected


def test_without_torchrun_nothing_is_restartable():
    assert not processes.is_restartable()
