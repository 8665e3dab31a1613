"""How long a training takes: arithmetic, and what is timed."""

import copy
import logging
import shutil
import time

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import init_default_scope

from mmcednet.own_data import duration
from mmcednet.own_data.duration import (
    Speed,
    format_duration,
    measure_speed,
    show_errors_only,
    time_steps,
)
from mmcednet.own_data.new_config import set_duration, write_new_config


def test_estimate_is_the_sum_of_iterations_and_validations():
    speed = Speed(iteration=0.5, iterations=40, validation=6, source='')
    assert speed.estimate(epochs=10, val_interval=1) == 10 * 40 * 0.5 + 10 * 6
    assert (
        speed.estimate(epochs=25, val_interval=2) == 25 * 40 * 0.5 + 13 * 6
    )  # the last one is at the end


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(40, '40 seconds'), (780, '13 minutes'), (9000, '2.5 hours'), (100800, '28 hours')],
)
def test_format(seconds, text):
    assert format_duration(seconds) == text


def test_messages_of_mmengine_are_hidden_after_others(monkeypatch):
    shown = []
    handler = logging.Handler()
    handler.emit = shown.append
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [handler])
    print_log('before', 'current', logging.WARNING)
    with show_errors_only():
        print_log('meanwhile', 'current', logging.WARNING)
    print_log('after', 'current', logging.WARNING)
    assert [record.getMessage() for record in shown] == ['before', 'after']


def test_the_first_step_is_timed_only_if_it_is_long():
    calls = []
    number, seconds = time_steps(lambda: calls.append(time.sleep(0.1 if not calls else 0)), limit=1)
    assert number == duration.MAX_STEPS == len(calls) - 1 and seconds < 0.1
    number, seconds = time_steps(lambda: time.sleep(0.1), limit=0.05)
    assert number == 1 and seconds >= 0.1


@pytest.fixture
def folder(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / 'data')


def test_large_batches_are_reduced(folder, root, tmp_path, monkeypatch):
    """6 images of 64x64 px in batches of 4."""
    out = tmp_path / 'my.py'
    write_new_config(folder, 'retinanet', 'nano', out, root / 'configs')
    monkeypatch.setattr(duration, 'TIME', 0.0)
    cfg = Config.fromfile(out)
    init_default_scope('mmdet')
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'RandomResize':
            step.scale, step.ratio_range = (64, 64), (1.0, 1.0)
    for limit, factor, side in ((4 * 64 * 64, 1, 64), (64 * 64, 4, 64), (32 * 32, 16, 32)):
        monkeypatch.setattr(duration, 'MAX_PIXELS', limit)
        reduced = copy.deepcopy(cfg)
        assert duration.reduce_batch(reduced) == factor
        inputs = next(iter(duration.build_loader(reduced.train_dataloader)))['inputs']
        assert len(inputs) == (4 if factor == 1 else 1) and inputs[0].shape[1:] == (side, side)
    speed = measure_speed(cfg)
    assert speed.iterations == 2 and speed.iteration > 0 and speed.validation > 0
    assert '1 iteration, each of 1/16 of the pixels of a batch' in speed.source


def test_hours_limit_the_epochs(folder, root, tmp_path):
    draft = write_new_config(folder, 'retinanet', 'nano', tmp_path / 'a.py', root / 'configs')
    planned = draft.settings['max_epochs']
    speed = Speed(iteration=36, iterations=10, validation=360, source='timed')
    set_duration(draft, speed, hours=None)
    assert draft.settings['max_epochs'] == planned and draft.reasons[-1][0] == 'duration'
    set_duration(draft, speed, hours=1)  # five epochs of six minutes, and as many validations
    assert draft.settings['max_epochs'] == 5 and draft.settings['train_cfg']['val_interval'] == 1
    assert draft.reasons[-1][:2] == ('duration', 'about 60 minutes')
    assert [row[:2] for row in draft.reasons if row[0] == 'epochs'] == [('epochs', '5')]
    with pytest.raises(ValueError, match=r'--hours 0\.1 is too short: one epoch takes 12 minutes here'):
        set_duration(draft, speed, hours=0.1)


def test_epochs_as_given(folder, root, tmp_path):
    out = tmp_path / 'my.py'
    write_new_config(folder, 'retinanet', 'nano', out, root / 'configs', epochs=7)
    cfg = Config.fromfile(out)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == cfg.param_scheduler[1].T_max == 7
    arguments = (folder, 'retinanet', 'nano', tmp_path / 'other.py', root / 'configs')
    with pytest.raises(ValueError, match='--epochs and --hours both set the length'):
        write_new_config(*arguments, epochs=7, hours=1)
    with pytest.raises(ValueError, match='--epochs -1 must be more than 0'):
        write_new_config(*arguments, epochs=-1)
