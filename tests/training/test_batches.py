from collections import Counter

import pytest
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler

from mmcednet.training import ResumableBatchSampler
from mmcednet.training.seeded_dataset import EPOCH_STRIDE


class Numbers:
    def __len__(self):
        return 11


@pytest.fixture
def sampler():
    return DefaultSampler(Numbers(), shuffle=True, seed=5)


def make(sampler, kind='DefaultSampler', **settings):
    return ResumableBatchSampler(sampler, 2, sampler_cfg=dict(type=kind, shuffle=True), **settings)


def test_same_batches_as_torch(sampler):
    ours = make(sampler)
    for epoch in (0, 3):
        sampler.set_epoch(epoch)
        ours.start(epoch, 0)
        expected = [[epoch * EPOCH_STRIDE + i for i in b] for b in BatchSampler(sampler, 2, False)]
        assert list(ours) == expected
    assert len(ours) == 6
    assert len(make(sampler, drop_last=True)) == len(list(make(sampler, drop_last=True))) == 5


@pytest.mark.parametrize('kind', ['DefaultSampler', 'InfiniteSampler'])
def test_starts_anywhere(sampler, kind):
    ours = make(sampler, kind)
    ours.start(0, 0, endless=True)
    batches = [batch for batch, _ in zip(ours, range(20))]
    for done in (1, 6, 13):
        ours.start(0, done, endless=True)
        assert [batch for batch, _ in zip(ours, range(20 - done))] == batches[done:]


def test_counts_the_epochs_of_a_sampler_without_end(sampler):
    ours = make(sampler, 'InfiniteSampler')
    ours.start(0, 0, endless=True)
    flat = [index for batch, _ in zip(ours, range(22)) for index in batch]
    drawn = Counter(divmod(index, EPOCH_STRIDE) for index in flat)
    assert drawn == Counter((epoch, index) for epoch in range(4) for index in range(11))


def test_wraps_another_batch_sampler(sampler):
    @DATA_SAMPLERS.register_module(force=True)
    class KeepsRest(BatchSampler):
        """Like mmdet's AspectRatioBatchSampler, it keeps a state while it is iterated over."""

        def __init__(self, sampler, batch_size):
            super().__init__(sampler, batch_size, drop_last=False)
            self.kept = []

        def __iter__(self):
            for index in self.sampler:
                self.kept.append(index)
                if len(self.kept) == 4:
                    yield self.kept[:2]
                    del self.kept[:2]
            yield self.kept

    ours = make(sampler, batch_sampler_cfg=dict(type='KeepsRest'))
    whole = list(ours)
    first = iter(ours)
    next(first), next(first)
    ours.start(0, 2)
    assert list(ours) == whole[2:]


def test_dataset_of_the_sampler_is_used(sampler):
    assert isinstance(sampler.dataset, Numbers) and not isinstance(sampler.dataset, BaseDataset)
    assert make(sampler).build(0).sampler.dataset is sampler.dataset
