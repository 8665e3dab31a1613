"""Says when a training will end."""

import time
from datetime import datetime, timedelta
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class ExpectedEndHook(Hook):
    """Logs once when the training is expected to end, after its first iterations, without validations.

    The first iteration starts the workers and allocates memory; it is not timed.

    Args:
        iterations: Number of iterations that are timed. Default: 10.
    """

    priority = 'LOW'

    def __init__(self, iterations: int = 10) -> None:
        self.iterations = iterations
        self.first: tuple[int, float] | None = None
        self.said = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if self.said:
            return
        now = time.perf_counter()
        if self.first is None:
            self.first = runner.iter, now
            return
        done = runner.iter - self.first[0]
        if done >= self.iterations:
            self.said = True
            seconds = (now - self.first[1]) / done
            print_log(describe_end(seconds, runner.max_iters - runner.iter - 1), 'current')


def describe_end(seconds: float, iterations: int) -> str:
    """Say when the training ends: seconds of an iteration, iterations that are left."""
    left = timedelta(seconds=round(seconds * iterations))
    end = f'{datetime.now().astimezone() + left:%Y-%m-%d %H:%M %Z}'
    return (
        f'An iteration takes {seconds:.2g} s: the {iterations} that are left end at about {end}, in '
        f'{left} h, without the validations'
    )
