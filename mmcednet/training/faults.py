"""What a training does about faults: losses that are not finite, bad images, signals, full memory."""

import errno
import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmcednet.checkpoints.saving import INTERRUPTED, POINTER, point_to

# Windows has no SIGUSR1
SIGNALS = [getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1', 'SIGINT') if hasattr(signal, name)]
MAX_LISTED = 20
DISK_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO)  # also of files whose name the error does not have


class TrainingError(RuntimeError):
    """A training cannot continue."""


@contextmanager
def explain_faults(runner: Runner) -> Iterator[None]:
    """End the process with one sentence if memory or disk are full, or a hook stops the training.

    Raises:
        SystemExit: Instead of these errors; others propagate.
    """
    try:
        yield
    except (TrainingError, MemoryError, OSError, RuntimeError) as error:
        message = explain(error, runner)
        if message is None:
            raise
        sys.exit(f'error: {message}')
    finally:
        for hook in runner.hooks:
            if isinstance(hook, StopOnSignalHook):
                hook.restore()


def explain(error: Exception, runner: Runner) -> str | None:
    """Describe a fault in a sentence; None for errors that are not faults of the machine."""
    if isinstance(error, TrainingError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f'out of memory at iteration {runner.iter + 1} with train_dataloader.batch_size='
            f'{runner.cfg.train_dataloader.get("batch_size")}; lower it, or the size of the images, or '
            f'use --amp or model.backbone.with_cp=True'
        )
    if isinstance(error, OSError) and (error.filename or error.errno in DISK_ERRORS):
        return (
            f'cannot write or read {error.filename or runner.work_dir}: {error.strerror}; '
            f'{describe_resuming(runner)}'
        )
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether the memory of a GPU or of the machine was not enough."""
    words = ('CUDA out of memory', 'CUDA error: out of memory', "can't allocate memory")
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        word in str(error) for word in words
    )


def describe_resuming(runner: Runner) -> str:
    """Say how to resume after a fault."""
    pointer = Path(runner.work_dir, POINTER)
    if not pointer.is_file():
        return 'no checkpoint had been saved yet'
    return f'--resume continues from {pointer.read_text()}'


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops a training whose loss is not a number, or infinite, many times in a row.

    Such a loss spoils the weights, which are then not saved. The loss is looked at every ``patience``
    iterations, as looking waits for the GPU.

    Args:
        patience: Number of iterations in a row. Default: 10.
    """

    priority = 'HIGH'

    def __init__(self, patience: int = 10) -> None:
        self.patience = patience
        self.latest: deque[tuple[torch.Tensor, list[str]]] = deque(maxlen=patience)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        loss = (outputs or {}).get('loss')
        if isinstance(loss, torch.Tensor):
            self.latest.append((loss.detach(), list_batch_files(data_batch)))
        if self.every_n_train_iters(runner, self.patience) and len(self.latest) == self.patience:
            finite = torch.stack([loss for loss, _ in self.latest]).isfinite()
            if not finite.any():
                self.stop(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self.latest and not self.latest[-1][0].isfinite():
            weights = checkpoint['state_dict'].values()
            if not all(bool(value.isfinite().all()) for value in weights):
                self.stop(runner)

    def stop(self, runner: Runner) -> None:
        """Raise an error with the first batch of the row."""
        count = 0
        images: list[str] = []
        for loss, names in reversed(self.latest):
            if loss.isfinite():
                break
            count += 1
            images = names
        raise TrainingError(
            f'the loss was not finite in the last {count} iterations, up to iteration '
            f'{runner.iter + 1}, beginning with the images {", ".join(images) or "(unknown)"}; '
            f'lower optim_wrapper.optimizer.lr or set optim_wrapper.clip_grad, and '
            f'{describe_resuming(runner)}'
        )


@HOOKS.register_module()
class ZeroLossHook(Hook):
    """Stops a training whose loss is 0 in each of its first iterations: it learns nothing.

    Args:
        patience: Number of iterations. Default: 10.
    """

    priority = 'HIGH'

    def __init__(self, patience: int = 10) -> None:
        self.patience = patience
        self.first: list[torch.Tensor] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        loss = (outputs or {}).get('loss')
        if runner.iter >= self.patience or not isinstance(loss, torch.Tensor):
            return
        self.first.append(loss.detach())
        if len(self.first) == self.patience and not torch.stack(self.first).any():
            raise TrainingError(
                f'the loss was 0 in each of the first {self.patience} iterations, so that nothing is '
                f'learned; look at the labels of the training data and at the weights of the losses'
            )


def list_batch_files(data_batch: Any) -> list[str]:
    """Files of a batch's images."""
    return [sample.img_path for sample in iter_samples(data_batch) if 'img_path' in sample]


def iter_samples(data_batch: Any) -> Iterator[Any]:
    """The data samples of a batch of mmdet, mmseg or mmpretrain."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    yield from samples if isinstance(samples, (list, tuple)) else ()


@HOOKS.register_module()
class UnusableImagesHook(Hook):
    """Reports images that cannot be used, and stops the training if there are many.

    Args:
        max_share: Share of the dataset's images that may be replaced by others. Default: 0.01.
    """

    def __init__(self, max_share: float = 0.01) -> None:
        self.max_share = max_share
        self.files: set[str] = set()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        for sample in iter_samples(data_batch):
            for file in sample.metainfo.get('unusable', ()):
                self.add(runner, file)

    def add(self, runner: Runner, file: str) -> None:
        """Count a file, once."""
        total = len(runner.train_dataloader.dataset)
        if file not in self.files:
            self.files.add(file)
            runner.logger.warning(
                f'{file} cannot be used; another image replaces it, as for {len(self.files)} of '
                f'{total} images so far'
            )
            self.check(total)

    def after_train_epoch(self, runner: Runner) -> None:
        self.files.update(*all_gather_object(self.files))  # of all processes
        self.check(len(runner.train_dataloader.dataset))

    def check(self, total: int) -> None:
        """Raise an error if there are too many."""
        count = len(self.files)
        if count > self.max_share * total:
            listed = sorted(self.files)[:MAX_LISTED]
            more = [f'... and {count - MAX_LISTED} more'] if count > MAX_LISTED else []
            raise TrainingError(
                f'{count} of {total} images, more than {100 * self.max_share:g} %, cannot be used; '
                'repair or remove them:\n  ' + '\n  '.join(listed + more)
            )


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Saves a checkpoint and ends the process on SIGTERM, SIGUSR1 or Ctrl-C.

    The exit code is 128 + the signal's number. ``--resume`` continues at the next iteration. During a
    validation nothing is saved: the training resumes from the latest checkpoint, and validates again.
    A second signal ends the process at once. In a thread other than the main one, where Python cannot
    handle signals, nothing is done.

    Args:
        interval: Iterations between two questions whether any process got a signal. Default: 10.
    """

    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.received = 0
        self.handlers: dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self.receive) for number in SIGNALS}

    def after_train(self, runner: Runner) -> None:
        self.restore()

    def restore(self) -> None:
        """Set back the handlers of the signals."""
        while self.handlers:
            signal.signal(*self.handlers.popitem())

    def receive(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            self.restore()
            os.kill(os.getpid(), number)
        self.received = number
        name = signal.Signals(number).name
        print(
            f'{name}: saving a checkpoint after this iteration; again to end at once', file=sys.stderr
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if not runner.optim_wrapper.should_update():  # gradients that are not applied yet get lost
            return
        if runner.world_size > 1:
            if not self.every_n_train_iters(runner, self.interval):
                return
            received = torch.tensor(self.received, device=self.get_device(runner))
            all_reduce(received, 'max')
            self.received = int(received)
        if self.received:
            self.save(runner, batch_idx + 1)
            self.end(f'saved {Path(runner.work_dir, INTERRUPTED)}')

    @staticmethod
    def get_device(runner: Runner) -> torch.device:
        return next(runner.model.parameters()).device

    def save(self, runner: Runner, done: int) -> None:
        """Save a checkpoint in the middle of an epoch, after ``done`` batches of it."""
        position = dict(
            epoch=runner.epoch,
            iter=runner.iter + 1,
            done=done,
            batches=len(runner.train_dataloader),
        )
        runner.message_hub.update_info('interrupted_at', position)
        runner.save_checkpoint(runner.work_dir, INTERRUPTED, by_epoch=False)
        if is_main_process():
            point_to(Path(runner.work_dir, INTERRUPTED), Path(runner.work_dir))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.received:
            self.end('the validation will be repeated')

    def end(self, what: str) -> None:
        """Leave the training."""
        self.restore()
        name = signal.Signals(self.received).name
        print_log(f'Stopped by {name}: {what}; --resume continues', 'current', logging.WARNING)
        raise SystemExit(128 + self.received)
