"""A training that is killed again and again ends as if it had never been interrupted."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from trainings import read_log, start_training, write_config

pytestmark = pytest.mark.slow

SETTINGS = dict(
    epochs="""
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
train_cfg = dict(max_epochs=12, val_interval=1)
""",
    iterations="""
train_dataloader['sampler'] = dict(type='InfiniteSampler', shuffle=True)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=48, val_interval=5)
log_processor = dict(by_epoch=False)
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=48)]
default_hooks['checkpoint'].update(by_epoch=False, interval=3, max_keep_ckpts=2)
""",
)


class Killer:
    """Starts a training, resuming it, and kills it."""

    def __init__(self, root: Path, config: Path, work: Path) -> None:
        self.root, self.config, self.work = root, config, work

    def start(self, workers: int) -> multiprocessing.Process:
        settings = [
            f'train_dataloader.num_workers={workers}',
            f'train_dataloader.persistent_workers={workers > 0}',
        ]
        args = ['--resume', '--cfg-options', *settings]
        return start_training(self.root, self.config, self.work, *args)

    def run(self, workers: int) -> None:
        """Train to the end."""
        process = self.start(workers)
        process.join(300)
        assert process.exitcode == 0, read_log(self.work)[-3000:]

    def kill(self, how: str, workers: int, draw: random.Random) -> bool:
        """Start a training and kill it after about an epoch; False if it ended before that."""
        known, lines = len(self.read_progress()), draw.randint(0, 6)
        process = self.start(workers)
        while process.is_alive() and not self.is_time(how, known, lines):
            time.sleep(0.0002)
        time.sleep(0 if how == 'in writing' else draw.uniform(0, 0.1))
        alive = process.is_alive()
        if alive:
            os.kill(process.pid, signal.SIGTERM if how == 'signal' else signal.SIGKILL)
        process.join(120)
        assert alive or process.exitcode == 0, read_log(self.work)[-3000:]
        return alive

    def is_time(self, how: str, known: int, lines: int) -> bool:
        """Whether a checkpoint is being written, or some lines of the training are in the log."""
        done = len(self.read_progress()) - known - 1
        if how == 'in writing':
            return done >= 0 and any(self.work.glob('.*.unfinished.pth'))
        return done >= lines

    def read_progress(self) -> list[str]:
        """Lines of the log from the start of the training on."""
        marks = ('Checkpoints will be saved', '(train) [', '(val) [', 'Saving checkpoint')
        return [line for line in read_log(self.work).splitlines() if any(map(line.count, marks))]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mmcednet.data.shapes import draw_dataset

    return draw_dataset(tmp_path_factory.mktemp('killed') / 'shapes', train=6, val=2, size=64, seed=0)


def load(work: Path) -> tuple[dict[str, dict], list[str]]:
    """The latest and the best checkpoint, and the names of all files."""
    latest = Path((work / 'last_checkpoint').read_text())
    (best,) = work.glob('best_*.pth')
    loaded = {
        name: torch.load(path, map_location='cpu', weights_only=False)
        for name, path in (('latest', latest), ('best', best))
    }
    return loaded, sorted(path.name for path in work.glob('*.pth'))


def check_equal(first: object, second: object, where: str = '') -> None:
    """Bit for bit."""
    if isinstance(first, dict):
        assert list(first) == list(second), where
        for key, value in first.items():
            check_equal(value, second[key], f'{where}.{key}')
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second)):
            check_equal(*pair, f'{where}[{index}]')
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, np.ndarray):
        assert np.array_equal(first, second, equal_nan=True), where
    else:
        assert first == second or (first != first and second != second), (where, first, second)


def collect_metrics(checkpoint: dict) -> dict:
    """What was logged, except for times, and what is known about the best checkpoint."""
    hub = checkpoint['message_hub']
    metrics = {
        name: history.data
        for name, history in hub['log_scalars'].items()
        if not name.endswith(('time', 'memory', 'eta'))
    }
    info = {key: value for key, value in hub['runtime_info'].items() if key != 'cfg'}
    for key in ('last_ckpt', 'best_ckpt'):
        info[key] = Path(info[key]).name
    for key in ('interrupted_at', 'experiment_name'):
        info.pop(key, None)
    return dict(metrics=metrics, info={key: info[key] for key in sorted(info)})


@pytest.mark.parametrize(('kind', 'kills'), [('epochs', 8), ('iterations', 6)])
def test_ends_bit_identical(root, data, tmp_path, kind, kills):
    config = write_config(tmp_path / f'{kind}.py', root, data, SETTINGS[kind])
    whole = Killer(root, config, tmp_path / 'whole')
    whole.run(workers=0)

    draw = random.Random(0)
    killed = Killer(root, config, tmp_path / 'killed')
    ways = ['in writing', 'at random', 'signal', 'at random', 'in writing']
    done = 0
    while done < kills and killed.kill(ways[done % len(ways)], draw.randint(0, 2), draw):
        done += 1
    assert done > kills / 2  # on a fast machine, the training may end before the last ones
    killed.run(workers=2)

    (expected, names), (actual, actual_names) = load(whole.work), load(killed.work)
    assert actual_names == names
    for name, checkpoint in expected.items():
        other = actual[name]
        for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
            check_equal(checkpoint.get(part), other.get(part), f'{name}: {part}')
    check_equal(collect_metrics(expected['latest']), collect_metrics(actual['latest']))
    assert not list(killed.work.glob('.*'))


def test_a_kill_before_the_outdated_checkpoint_is_removed(root, data, tmp_path):
    """As if it was killed after epoch_2.pth was written and before epoch_1.pth was removed."""
    settings = SETTINGS['epochs'] + "default_hooks['checkpoint'].update(max_keep_ckpts=1)\n"
    config = write_config(tmp_path / 'config.py', root, data, settings)
    work = tmp_path / 'work'

    def train_until(epochs: int) -> list[str]:
        args = ['--resume', '--cfg-options', f'train_cfg.max_epochs={epochs}']
        process = start_training(root, config, work, *args)
        process.join(300)
        assert process.exitcode == 0, read_log(work)[-3000:]
        return sorted(path.name for path in work.glob('epoch_*.pth'))

    assert train_until(2) == ['epoch_2.pth']
    for name in ('epoch_1.pth', 'epoch_0.pth'):  # the second one is the user's
        (work / name).write_bytes((work / 'epoch_2.pth').read_bytes())
        os.utime(work / name, (0, 0))
    assert train_until(3) == ['epoch_0.pth', 'epoch_3.pth']
