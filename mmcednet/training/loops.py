"""Train loops that resume exactly where a checkpoint was saved, also in the middle of an epoch."""

import logging
import signal
import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from .faults import TrainingError
from .seeding import seed_all

MAX_WORKER_FAILURES = 3


def load_batches(
    dataloader: DataLoader, epoch: int, done: int, endless: bool = False
) -> Iterator[tuple[int, Any]]:
    """Load batches from a position on; workers that die are started again.

    Args:
        dataloader: Its batch sampler is a ResumableBatchSampler.
        epoch: Counted from 0.
        done: Batches of the epoch to leave out.
        endless: Continue with the next epoch after the last batch.

    Yields:
        Number of the batch in the epoch, and the batch.

    Raises:
        TrainingError: Workers died four times without a batch in between.
    """
    failures = 0
    while True:
        dataloader.batch_sampler.start(epoch, done, endless)  # type: ignore[union-attr]
        try:
            batches = iter(dataloader)
            if dataloader.num_workers and handles_workers():
                # torch's handler would raise an error at any place when a worker dies, also in the
                # middle of an optimizer's step; the next batch raises it too
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for batch in batches:
                yield done, batch
                done += 1
                failures = 0
            return
        except (RuntimeError, EOFError, OSError) as error:
            if not dataloader.num_workers or not is_dead_worker(error):
                raise
            if failures == MAX_WORKER_FAILURES:
                raise TrainingError(
                    f'workers of the data loader died {failures + 1} times in a row ({error!r}); lower '
                    f'train_dataloader.num_workers={dataloader.num_workers}, as the memory may be full'
                ) from None
            failures += 1
            print_log(
                f'A worker of the data loader has died ({error!r}): starting the workers again; if '
                f'this happens often, lower train_dataloader.num_workers, as the memory may be full',
                'current',
                logging.WARNING,
            )
            dataloader._iterator = None  # of persistent workers


def handles_workers() -> bool:
    """Whether torch handles the signal of dead workers here: not on Windows or in other threads."""
    return hasattr(signal, 'SIGCHLD') and threading.current_thread() is threading.main_thread()


def is_dead_worker(error: Exception) -> bool:
    """Whether an error says that a worker has died, and not what went wrong in one that lives."""
    if isinstance(error, RuntimeError):
        return 'DataLoader worker (pid' in str(error)
    # its tensors, which are in the queue already, can no longer be received
    lost = isinstance(error, (EOFError, ConnectionError, FileNotFoundError))
    return lost and not str(error).startswith('Caught ')


def move_steps_to_cpu(optimizer: Optimizer) -> None:
    """Keep an optimizer's counts of steps where torch creates them, on the CPU.

    mmengine loads checkpoints to the GPU. AdamW would then wait for it twice for each parameter.
    """
    for group in optimizer.param_groups:
        if group.get('fused') or group.get('capturable'):  # which need them on the GPU
            continue
        for parameter in group['params']:
            step = optimizer.state.get(parameter, {}).get('step')
            if isinstance(step, Tensor):
                optimizer.state[parameter]['step'] = step.cpu()


class ResumableLoop(BaseLoop):
    """What the two train loops have in common."""

    def run(self) -> nn.Module:
        """Train, and validate first if the checkpoint was saved before its validation had ended."""
        self.runner.call_hook('before_train')
        # The runner takes over the seed of a checkpoint only after it has built this loop
        self.dataloader.dataset.seed = self.runner.seed
        self.dataloader.batch_sampler.seed = self.runner.seed
        # mmengine <= 0.10.7 has started persistent workers of an IterBasedTrainLoop before
        self.dataloader._iterator = None
        if isinstance(self.runner.optim_wrapper, OptimWrapper):
            move_steps_to_cpu(self.runner.optim_wrapper.optimizer)
        self.validate(*self.get_progress())
        self.train()
        self.runner.call_hook('after_train')
        return self.runner.model

    @abstractmethod
    def get_progress(self) -> tuple[int, int]:
        """Return the epochs or iterations that are done, and their total."""

    @abstractmethod
    def train(self) -> None:
        """Train to the end."""

    def validate(self, done: int, total: int) -> None:
        """Validate if it is time for it and has not been done yet."""
        self._decide_current_val_interval()
        hub = self.runner.message_hub
        due = done >= max(self.val_begin, 1) and (done % self.val_interval == 0 or done == total)
        if due and self.runner.val_loop is not None and hub.get_info('latest_validation') != done:
            hub.update_info('latest_validation', done)
            self.runner.val_loop.run()

    def seed_iteration(self, iteration: int) -> None:
        """Seed what the model draws, such as dropped paths and sampled boxes."""
        seed_all(self.runner.seed, self.runner.rank, iteration)


@LOOPS.register_module()
class ResumableEpochLoop(ResumableLoop, EpochBasedTrainLoop):
    """mmengine's EpochBasedTrainLoop, whose trainings can be interrupted in the middle of an epoch.

    The arguments are the same. The data loader has a :class:`SeededDataset` and a
    :class:`ResumableBatchSampler`.
    """

    def get_progress(self) -> tuple[int, int]:
        return self._epoch, self._max_epochs

    def train(self) -> None:
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self.validate(*self.get_progress())

    def run_epoch(self) -> None:
        """Train for the rest of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for index, batch in load_batches(self.dataloader, self._epoch, self.count_done()):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def count_done(self) -> int:
        """Count the batches of this epoch that the resumed checkpoint has seen."""
        position = self.runner.message_hub.get_info('interrupted_at')
        # the epoch, too: after an interruption in the last iteration of an epoch, the next epoch starts
        # at the same iteration
        if position is None or (position['epoch'], position['iter']) != (self._epoch, self._iter):
            return 0
        if position['batches'] == len(self.dataloader):
            return position['done']
        print_log(
            f'The epoch starts again: it had {position["batches"]} batches per process when it was '
            f'interrupted, and has {len(self.dataloader)} now',
            'current',
            logging.WARNING,
        )
        return 0

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Train on a batch."""
        self.seed_iteration(self._iter)
        super().run_iter(idx, data_batch)


@LOOPS.register_module()
class ResumableIterLoop(ResumableLoop, IterBasedTrainLoop):
    """mmengine's IterBasedTrainLoop, which loads nothing to get to the iteration of a checkpoint.

    The arguments are the same. The data loader has a :class:`SeededDataset` and a
    :class:`ResumableBatchSampler`.
    """

    def get_progress(self) -> tuple[int, int]:
        return self._iter, self._max_iters

    def train(self) -> None:
        del self.dataloader_iterator
        self.runner.call_hook('before_train_epoch')
        batches = load_batches(self.dataloader, 0, self._iter, endless=True)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches)[1])
            self.validate(*self.get_progress())
        self.runner.call_hook('after_train_epoch')

    def run_iter(self, data_batch: Sequence[dict]) -> None:
        """Train on a batch."""
        self.seed_iteration(self._iter)
        super().run_iter(data_batch)
