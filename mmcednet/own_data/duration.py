"""How long a training will take: a few of its iterations, timed."""

import copy
import io
import itertools
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmcednet.config_files import get_type
from mmcednet.launch.device import adapt_to_device
from mmcednet.launch.threads import adapt_threads
from mmcednet.wording import count

TIME = 3.0  # seconds of timed iterations, after the first one
MAX_STEPS = 20
# Pixels of a batch that is timed as it is on a CPU; of a larger one, one image, which is made smaller
MAX_PIXELS = 640 * 640


@dataclass(frozen=True)
class Speed:
    """How fast a model trains on this machine.

    Attributes:
        iteration: Seconds of a training iteration, with the loading of its images.
        iterations: Number of iterations of an epoch.
        validation: Seconds of a validation.
        source: What was timed.
    """

    iteration: float
    iterations: int
    validation: float
    source: str

    def estimate(self, epochs: int, val_interval: int) -> float:
        """Seconds of a training; it is validated every ``val_interval`` epochs and at its end."""
        validations = math.ceil(epochs / val_interval)
        return epochs * self.iterations * self.iteration + validations * self.validation


def measure_speed(cfg: Config) -> Speed:
    """Build the model of a config with random weights, and time a few of its iterations.

    On a CPU, one smaller image stands for a batch of large ones: the time grows with the pixels.

    Args:
        cfg: Config of any toolbox, with a training and a validation; it stays as it is.

    Raises:
        Exception: Whatever the model raises with these data.
    """
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'none'
    adapt_to_device(cfg)
    init_default_scope(cfg.default_scope)
    batch_size = cfg.train_dataloader.batch_size
    on_gpu = torch.cuda.is_available()
    factor = 1.0 if on_gpu else reduce_batch(cfg)
    with show_errors_only():
        model = build_model(cfg)
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
        train_loader = build_loader(cfg.train_dataloader)
        val_loader = build_loader(dict(cfg.val_dataloader, batch_size=1))
    batches = itertools.chain.from_iterable(itertools.repeat(train_loader))
    model.train()
    steps, seconds = time_steps(lambda: model.train_step(next(batches), optimizer), TIME)
    images = itertools.chain.from_iterable(itertools.repeat(val_loader))
    model.eval()
    _, val_seconds = time_steps(lambda: model.val_step(next(images)), TIME / 3)
    less = f', each of 1/{factor:.0f} of the pixels of a batch,' if factor > 1 else ''
    where = torch.cuda.get_device_name() if on_gpu else 'the CPU'
    return Speed(
        seconds * factor,
        math.ceil(len(train_loader.dataset) / batch_size),  # type: ignore[arg-type]
        val_seconds * len(val_loader.dataset),  # type: ignore[arg-type]
        f'{count(steps, "iteration")}{less} timed here on {where}',
    )


def reduce_batch(cfg: Config) -> float:
    """Make the batches of a config small enough to be timed in seconds on a CPU.

    Returns:
        How many times more pixels a batch had before.
    """
    with show_errors_only():
        batch = next(iter(build_loader(cfg.train_dataloader)))
    pixels = [image.shape[-2] * image.shape[-1] for image in batch['inputs']]
    if sum(pixels) <= MAX_PIXELS:
        return 1.0
    number, cfg.train_dataloader.batch_size = cfg.train_dataloader.batch_size, 1
    share = min(1.0, MAX_PIXELS * len(pixels) / sum(pixels))
    for step in cfg.train_dataloader.dataset.get('pipeline', ()):
        if share < 1 and get_type(step) == 'RandomResize':
            step.scale = tuple(round(side * share**0.5) for side in step.scale)
    return number / share


def build_model(cfg: Config) -> BaseModel:
    """Build the model of a config with random weights, for a training on this machine."""
    settings = copy.deepcopy(cfg.model)
    settings.backbone.pop('init_cfg', None)
    if cfg.get('data_preprocessor'):
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    for key, value in dict(iter=0, max_iters=1, epoch=0, max_epochs=1).items():
        MessageHub.get_current_instance().update_info(key, value)  # as the runner does
    model = MODELS.build(settings)
    model.init_weights()
    adapt_threads(model)
    return model.cuda() if torch.cuda.is_available() else model


def build_loader(settings: dict[str, Any]) -> DataLoader:
    """Build a data loader; without a GPU, which computes meanwhile, it loads in this process."""
    settings = dict(copy.deepcopy(settings), persistent_workers=False)
    if not torch.cuda.is_available():
        settings |= dict(num_workers=0)
    return Runner.build_dataloader(settings, seed=0)


def time_steps(step: Callable[[], Any], limit: float) -> tuple[int, float]:
    """Time a step for about ``limit`` seconds; the first one counts if it takes as long.

    Returns:
        Number of steps that were timed, and the seconds of one.
    """
    start = read_clock()
    step()
    first = read_clock() - start
    if first > limit:
        return 1, first
    start, number = read_clock(), 0
    while number < MAX_STEPS and read_clock() - start < limit:
        step()
        number += 1
    return number, (read_clock() - start) / number


def read_clock() -> float:
    """Read the clock, in seconds, once the GPU has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def show_errors_only() -> Iterator[None]:
    """Hide what is printed, warnings, and what is logged but errors.

    Building a model logs every parameter, and pycocotools prints what it does.
    """
    before = logging.root.manager.disable
    disable_logging(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        disable_logging(before)


def disable_logging(level: int) -> None:
    """Disable messages of a level and below, those of mmengine too."""
    logging.disable(level)
    logger = MMLogger.get_current_instance()
    logger.setLevel(logger.level)  # otherwise it remembers which levels were enabled


def format_duration(seconds: float) -> str:
    """Write seconds as people say them: '40 seconds', '13 minutes', '2.5 hours'."""
    if seconds < 90:
        return f'{seconds:.0f} seconds'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} minutes'
    return f'{seconds / 3600:.1f} hours' if seconds < 36000 else f'{seconds / 3600:.0f} hours'
