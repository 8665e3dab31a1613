"""Several processes on one machine: the weights of a single process, and restarts."""

import json
import os
import runpy
import subprocess
import sys

import pytest
import torch
from short_runs import list_options, write_config, write_interruption

from mmcednet.checkpoints.safe_loading import load_from_file
from mmcednet.data.shapes import draw_dataset

pytestmark = pytest.mark.slow
STEPS = 20
# BatchNorm, whose statistics are those of a process, and dropout would not be equal
SEGMENTER = """
norm_cfg = dict(_delete_=True, type='GN', num_groups=8)
head = dict(norm_cfg=norm_cfg, dropout_ratio=0.0)
model = dict(decode_head=head, auxiliary_head=head)
"""
CASES = {
    'imagenet': dict(lr=1e-3),
    'upernet': dict(lr=1e-2, more=SEGMENTER),
    'deformable_detr': dict(lr=1e-3),
}


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """Images with one object for the classifier, and with several."""
    folder = tmp_path_factory.mktemp('images')
    for name in ('shapes', 'single'):
        draw_dataset(folder / name, train=STEPS, val=1, size=64, seed=0, single=name == 'single')
    return folder


def load_weights(path):
    return load_from_file(path)['state_dict']


def measure_distance(first, second):
    assert first.keys() == second.keys()
    return max((first[key].double() - second[key].double()).abs().max().item() for key in first)


@pytest.mark.parametrize('base', CASES)
def test_two_processes_give_the_weights_of_one(run_tool, run_in_two, base, images, tmp_path):
    data = images / ('single' if base == 'imagenet' else 'shapes')
    # two epochs, so that there is a checkpoint in the middle
    config = write_config(tmp_path / 'config.py', base, data, images=STEPS, epochs=2, **CASES[base])
    options = list_options(base)
    one, two = tmp_path / 'one', tmp_path / 'two'
    run_in_two('train.py', config, '--work-dir', two, *options)
    run_tool('train.py', config, '--work-dir', one, *options, 'train_dataloader.batch_size=2')
    weights = load_weights(one / 'epoch_2.pth')
    assert measure_distance(weights, load_weights(two / 'epoch_2.pth')) < 1e-5
    # which is no evidence if the weights have hardly changed
    assert measure_distance(weights, load_weights(one / 'epoch_1.pth')) > 1e-3
    (log,) = two.glob('*/vis_data/scalars.json')
    assert len(log.read_text().splitlines()) == STEPS


def test_a_killed_process_is_restarted(run_tool, root, images, tmp_path, monkeypatch):
    marker = tmp_path / 'killed'
    die = write_interruption('Die', rank=1, epoch=2, marker=str(marker))
    config = write_config(
        tmp_path / 'config.py', 'imagenet', images / 'single', images=8, epochs=4, more=die
    )
    monkeypatch.setenv('PYTHONPATH', f'{root / "tests"}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    monkeypatch.setenv('MAX_RESTARTS', '1')
    work = tmp_path / 'work'
    result = run_tool('dist_train.sh', config, 2, '--work-dir', work)
    assert marker.exists()
    assert 'torchrun restarts this training when it fails: as with --resume' in result.stdout
    assert 'resumed epoch: 2, iter: 8' in result.stdout + result.stderr
    logs = sorted(work.glob('*/vis_data/scalars.json'))
    steps = [[json.loads(line)['step'] for line in log.read_text().splitlines()] for log in logs]
    assert steps[0][:8] == [*range(1, 9)]
    assert steps[1] == [*range(9, 17)]
    assert (work / 'epoch_4.pth').is_file()


# Threads of the process group would ask for the interpreter while it ends, and abort the process
COUNT_THREADS = """
import os, runpy, sys
runpy.run_path(sys.argv[1])['main'](sys.argv[2:])
with open(f'threads_{os.environ["RANK"]}', 'w') as file:
    file.write(str(len(os.listdir('/proc/self/task'))))
"""


@pytest.mark.skipif(not os.path.isdir('/proc/self/task'), reason='threads are listed on Linux only')
def test_no_thread_is_left_at_the_end(root, images, tmp_path, free_port):
    config = write_config(tmp_path / 'config.py', 'imagenet', images / 'single', images=4)
    script = tmp_path / 'count.py'
    script.write_text(COUNT_THREADS)
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node=2']
    command += [f'--master-port={free_port}', script, root / 'tools' / 'train.py', config]
    subprocess.run([*map(str, command), '--launcher', 'pytorch'], cwd=tmp_path, check=True)
    assert [(tmp_path / f'threads_{rank}').read_text() for rank in (0, 1)] == ['1', '1']


def test_both_processes_stop_if_one_gets_a_signal(
    run_tool, run_in_two, root, images, tmp_path, monkeypatch
):
    """In the middle of an epoch, and --resume continues there: the end is the same bit for bit."""
    monkeypatch.setenv('PYTHONPATH', f'{root / "tests"}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    data = images / 'single'
    config = write_config(tmp_path / 'config.py', 'imagenet', data, images=18, epochs=4)
    marker = tmp_path / 'sent'
    more = write_interruption('Die', rank=1, number=15, epoch=1, marker=str(marker))
    stopped = write_config(tmp_path / 'stopped.py', 'imagenet', data, images=18, epochs=4, more=more)
    whole, work = tmp_path / 'whole', tmp_path / 'work'
    run_in_two('train.py', config, '--work-dir', whole)
    result = run_tool('dist_train.sh', stopped, 2, '--work-dir', work, expected_code=1)
    assert f'Stopped by SIGTERM: saved {work}/interrupted.pth' in result.stdout + result.stderr
    result = run_in_two('train.py', stopped, '--work-dir', work, '--resume')
    assert 'resumed epoch: 2, iter: 20' in result.stdout + result.stderr  # 9 iterations per epoch
    weights = load_weights(whole / 'epoch_4.pth')
    assert measure_distance(weights, load_weights(work / 'epoch_4.pth')) == 0


def test_a_restart_before_the_first_checkpoint_is_a_start(root, images, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', '1')
    weights = tmp_path / 'start.pth'
    torch.save(dict(state_dict={}), weights)
    more = f'load_from = {str(weights)!r}\n'
    config = write_config(tmp_path / 'config.py', 'imagenet', images / 'single', images=8, more=more)
    train = runpy.run_path(str(root / 'tools' / 'train.py'))
    args = train['parse_args']([str(config), '--work-dir', str(tmp_path / 'work')])
    cfg = train['prepare'](args).cfg
    assert not cfg.resume
    assert cfg.load_from == str(weights)
