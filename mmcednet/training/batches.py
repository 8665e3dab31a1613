"""Batches of indices that start anywhere in an epoch."""

from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler

from .seeded_dataset import EPOCH_STRIDE


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler:
    """The batches of another batch sampler, from a position on, with the epoch in their indices.

    Each iteration builds the samplers anew, so that the batches depend on the seed, the epoch and the
    position only. Loads nothing to get to a position.

    Args:
        sampler: Sampler of the data loader, from which the dataset and the seed are taken.
        batch_size: Samples per process.
        sampler_cfg: Config of the sampler to use.
        batch_sampler_cfg: Config of the batch sampler; default: successive samples.
        drop_last: Leave out an incomplete batch; without ``batch_sampler_cfg``. Default: False.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        sampler_cfg: dict,
        batch_sampler_cfg: dict | None = None,
        drop_last: bool = False,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.sampler_cfg = sampler_cfg
        self.batch_sampler_cfg = batch_sampler_cfg
        self.drop_last = drop_last
        self.seed: int = getattr(sampler, 'seed', 0)
        self.length = len(self.build(0))  # hooks ask for it in each iteration
        self.start(epoch=0, done=0)

    def start(self, epoch: int, done: int, endless: bool = False) -> None:
        """Set where the next iteration starts.

        Args:
            epoch: Counted from 0.
            done: Batches to leave out.
            endless: Continue with the next epoch after the last batch.
        """
        self.epoch, self.done, self.endless = epoch, done, endless

    def build(self, epoch: int) -> Any:
        """Build the wrapped batch sampler for an epoch."""
        dataset: Sized = self.sampler.dataset  # type: ignore[attr-defined]
        sampler = DATA_SAMPLERS.build(
            self.sampler_cfg, default_args=dict(dataset=dataset, seed=self.seed)
        )
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(epoch)
        if self.batch_sampler_cfg is None:
            return BatchSampler(sampler, self.batch_size, self.drop_last)
        return DATA_SAMPLERS.build(
            self.batch_sampler_cfg, default_args=dict(sampler=sampler, batch_size=self.batch_size)
        )

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[list[int]]:
        return islice(self.iterate(), self.done, None)

    def iterate(self) -> Iterator[list[int]]:
        """All batches of the epoch, and of those after it if there is no end."""
        rank, world_size = get_dist_info()
        size = len(self.sampler.dataset)  # type: ignore[attr-defined]
        epoch = self.epoch
        while True:
            position = rank  # among the samples of all processes
            for batch in self.build(epoch):
                encoded = []
                for index in batch:
                    # a sampler without end goes through the dataset again and again
                    encoded.append(EPOCH_STRIDE * (epoch + position // size) + index)
                    position += world_size
                yield encoded
            if not self.endless:
                return
            epoch += 1
