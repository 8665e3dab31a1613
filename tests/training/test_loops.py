"""Loading batches, and epochs after an interruption; trainings in processes are in tests/tools/."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch._subclasses import FakeTensorMode
from torch.utils.data import DataLoader
from trainings import write_config

from mmcednet.training import ResumableBatchSampler, make_fault_tolerant
from mmcednet.training.faults import TrainingError
from mmcednet.training.loops import load_batches, move_steps_to_cpu


class Fragile:
    """Numbers; the process that loads number 5 ends, ``deaths`` times."""

    def __init__(self, folder, deaths):
        self.folder, self.deaths = folder, deaths

    def __len__(self):
        return 8

    def __getitem__(self, index):
        died = len(list(self.folder.iterdir()))
        if index == 5 and died < self.deaths:
            (self.folder / str(died)).touch()
            os._exit(1)
        return index


def make_loader(dataset, persistent=False, workers=1):
    sampler = DefaultSampler(dataset, shuffle=False, seed=0)
    batches = ResumableBatchSampler(sampler, 2, sampler_cfg=dict(type='DefaultSampler', shuffle=False))
    return DataLoader(
        dataset, batch_sampler=batches, num_workers=workers, persistent_workers=persistent
    )


def test_batches_are_loaded_in_a_thread(tmp_path):
    batches = load_batches(make_loader(Fragile(tmp_path, deaths=0)), epoch=0, done=2)
    with ThreadPoolExecutor(1) as executor:
        loaded = executor.submit(list, batches).result()
    assert [batch.tolist() for _, batch in loaded] == [[4, 5], [6, 7]]


@pytest.mark.slow  # torch looks for dead workers every 5 s
@pytest.mark.parametrize('persistent', [False, True])
def test_dead_workers_are_started_again(tmp_path, persistent):
    loader = make_loader(Fragile(tmp_path, deaths=2), persistent)
    loaded = [(number, batch.tolist()) for number, batch in load_batches(loader, epoch=0, done=1)]
    assert loaded == [(1, [2, 3]), (2, [4, 5]), (3, [6, 7])]


@pytest.mark.slow
def test_workers_that_die_again_and_again(tmp_path):
    loader = make_loader(Fragile(tmp_path, deaths=99))
    with pytest.raises(TrainingError, match=r'died 4 times in a row .*; lower .*num_workers=1, as the'):
        list(load_batches(loader, epoch=0, done=2))
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize('error', [RuntimeError, FileNotFoundError])
@pytest.mark.parametrize('workers', [0, 1])
def test_errors_of_the_dataset_are_raised_at_once(tmp_path, workers, error):
    class Failing(Fragile):
        def __getitem__(self, index):
            self.folder.joinpath(str(len(list(self.folder.iterdir())))).touch()
            raise error('a bug')

    loader = make_loader(Failing(tmp_path, deaths=0), workers=workers)
    with pytest.raises(error, match='a bug'):
        list(load_batches(loader, epoch=0, done=3))
    assert len(list(tmp_path.iterdir())) == 1


class IterationRecorder(Hook):
    """Notes the iterations that are trained; sends SIGTERM at the start of one."""

    priority = 'HIGHEST'

    def __init__(self, stop_at):
        self.stop_at = stop_at
        self.iterations = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.iterations.append((runner.epoch, batch_idx, runner.iter))
        if runner.iter == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize('stop_at', [4, 5])
def test_an_interrupted_epoch_is_completed_and_the_next_one_is_whole(root, shapes, tmp_path, stop_at):
    """Iteration 5 is the last one of its epoch."""
    settings = 'train_dataloader["batch_size"] = 2\ntrain_cfg = dict(max_epochs=4, val_interval=9)'
    config = write_config(tmp_path / 'config.py', root, shapes, settings)
    work = tmp_path / 'work'
    recorders = []
    for checkpoint in (None, work / 'interrupted.pth'):
        cfg = Config.fromfile(config)
        cfg.train_dataloader.dataset.indices = 6
        cfg.work_dir = str(work)
        cfg.resume, cfg.load_from = checkpoint is not None, checkpoint and str(checkpoint)
        make_fault_tolerant(cfg)
        runner = Runner.from_cfg(cfg)
        recorders.append(IterationRecorder(stop_at if checkpoint is None else None))
        runner.register_hook(recorders[-1])
        if checkpoint is None:
            with pytest.raises(SystemExit):
                runner.train()
        else:
            runner.train()
    expected = [(iteration // 3, iteration % 3, iteration) for iteration in range(12)]
    assert recorders[0].iterations == expected[: stop_at + 1]
    assert recorders[1].iterations == expected[stop_at + 1 :]


class FlipRecorder(Hook):
    """Notes which images are flipped."""

    def __init__(self):
        self.flips = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.flips += [sample.flip for sample in data_batch['data_samples']]


@pytest.mark.slow
def test_workers_that_were_started_early_have_the_seed(root, shapes, tmp_path):
    """As those of IterBasedTrainLoop are by mmengine 0.10.7, whatever version this one is."""
    found = []
    for seed in (1, 2, 1):
        config = write_config(
            tmp_path / f'{len(found)}.py', root, shapes, f'randomness["seed"] = {seed}'
        )
        cfg = Config.fromfile(config)
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=8, val_interval=99)
        cfg.param_scheduler = []
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=99)
        sampler = dict(type='InfiniteSampler', shuffle=False)
        cfg.train_dataloader.update(
            batch_size=2, num_workers=1, persistent_workers=True, sampler=sampler
        )
        cfg.work_dir = str(tmp_path / 'work')
        make_fault_tolerant(cfg)
        runner = Runner.from_cfg(cfg)
        recorder = FlipRecorder()
        runner.register_hook(recorder)
        iter(runner.train_dataloader)
        runner.train()
        found.append(recorder.flips)
    assert found[0] == found[2] != found[1]
    assert {len(flips) for flips in found} == {16}


@pytest.mark.skipif(not hasattr(torch, 'get_autocast_dtype'), reason='torch is older than 2.4')
@pytest.mark.parametrize('capturable', [False, True])
def test_an_optimizer_counts_its_steps_on_the_cpu(capturable):
    """As before a checkpoint was loaded to the GPU; those of a CUDA graph stay there."""
    with FakeTensorMode():
        weight = torch.nn.Parameter(torch.empty(2, device='cuda'))
        optimizer = torch.optim.AdamW([weight], capturable=capturable)
        moments = dict(exp_avg=torch.empty(2, device='cuda'), exp_avg_sq=torch.empty(2, device='cuda'))
        optimizer.state[weight] = dict(step=torch.zeros((), device='cuda'), **moments)
        move_steps_to_cpu(optimizer)
    assert optimizer.state[weight]['step'].device.type == ('cuda' if capturable else 'cpu')
    assert optimizer.state[weight]['exp_avg'].device.type == 'cuda'
