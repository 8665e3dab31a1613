"""Loading batches; whole trainings are in tests/tools/."""

import os

import pytest
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from mmcednet.training import ResumableBatchSampler
from mmcednet.training.faults import TrainingError
from mmcednet.training.loops import load_batches


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
