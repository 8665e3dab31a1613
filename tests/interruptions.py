"""Hooks with which a training process of a test ends, or stops, at a chosen place; once."""

import os
import signal
import socket
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


class Interruption(Hook):
    """Calls ``interrupt`` in the middle of an epoch, unless the file ``marker`` exists."""

    def __init__(self, marker: str, epoch: int) -> None:
        self.marker = Path(marker)
        self.epoch = epoch

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        if (
            runner.epoch == self.epoch
            and batch_idx == 1
            and self.is_here()
            and not self.marker.exists()
        ):
            self.marker.write_text(str(os.getpid()))
            self.interrupt()


@HOOKS.register_module()
class Die(Interruption):
    """Sends a signal to the process of a rank; by default one that kills it."""

    def __init__(self, rank: int, number: int = signal.SIGKILL, **settings: object) -> None:
        super().__init__(**settings)
        self.rank = rank
        self.number = number

    def is_here(self) -> bool:
        return get_rank() == self.rank

    def interrupt(self) -> None:
        os.kill(os.getpid(), self.number)


@HOOKS.register_module()
class Stop(Interruption):
    """Stops the process on a host for good."""

    def __init__(self, host: str, **settings: object) -> None:
        super().__init__(**settings)
        self.host = host

    def is_here(self) -> bool:
        return socket.gethostname() == self.host

    def interrupt(self) -> None:
        while True:
            signal.pause()
