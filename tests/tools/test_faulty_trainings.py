"""Trainings on a full disk, with dead workers, bad images, too little memory and signals."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from trainings import read_log, start_training, write_config

pytestmark = pytest.mark.slow
SHORT = 'train_cfg = dict(max_epochs=2, val_interval=1)'
LONG = 'train_cfg = dict(max_epochs=200, val_interval=1000)'


def can_mount() -> bool:
    command = ['unshare', '--mount', '--map-root-user', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']
    return shutil.which('unshare') is not None and not subprocess.call(
        command, stderr=subprocess.DEVNULL
    )


needs_mount = pytest.mark.skipif(not can_mount(), reason='tmpfs cannot be mounted here')


def finish(process, work: Path) -> tuple[int, str]:
    """Wait for a training; its exit code and its output."""
    process.join(300)
    return process.exitcode, read_log(work)


def wait_for(work: Path, text: str, process) -> None:
    while text not in read_log(work):
        assert process.is_alive(), read_log(work)[-3000:]
        time.sleep(0.02)


@pytest.fixture
def data(shapes, tmp_path) -> Path:
    """A copy of the dataset, of which images may be damaged."""
    return shutil.copytree(shapes, tmp_path / 'data')


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']


def check_same(first: Path, second: Path) -> None:
    weights, others = load_weights(first), load_weights(second)
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


@needs_mount
def test_full_disk(root, data, tmp_path):
    """The second checkpoint does not fit; after space was freed, the training resumes."""
    no_best = "default_hooks['checkpoint'].update(save_best=None, rule=None)"
    config = write_config(tmp_path / 'c.py', root, data, SHORT, no_best)
    work, kept = tmp_path / 'work', tmp_path / 'kept'
    assert finish(start_training(root, config, kept), kept)[0] == 0
    size = (kept / 'epoch_2.pth').stat().st_size
    work.mkdir()
    script = f"""
        mount -t tmpfs -o size={3 * size // 1024}k tmpfs {work}
        train() {{ {sys.executable} {root}/tools/train.py {config} --work-dir {work} --resume; }}
        head -c {3 * size // 2} /dev/zero > {work}/other_users_file
        train; echo "exit code $?"; ls -A {work} | sed 's/^/file: /'
        rm {work}/other_users_file; train; echo "exit code $?"
        cp {work}/epoch_2.pth {tmp_path}/resumed.pth
    """
    done = subprocess.run(
        ['unshare', '--mount', '--map-root-user', 'bash', '-c', script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    output = done.stdout + done.stderr
    assert f'cannot write or read {work}/' in output, output[-3000:]
    assert f'No space left on device; --resume continues from {work}/epoch_1.pth' in output
    assert [line for line in done.stdout.splitlines() if line.startswith('exit code')] == [
        'exit code 1',
        'exit code 0',
    ]
    files = [line[6:] for line in done.stdout.splitlines() if line.startswith('file: ')]
    assert 'epoch_1.pth' in files
    assert not [name for name in files if 'unfinished' in name]
    check_same(kept / 'epoch_2.pth', tmp_path / 'resumed.pth')


@needs_mount
def test_read_only_work_dir(root, data, tmp_path):
    config = write_config(tmp_path / 'c.py', root, data, SHORT)
    work = tmp_path / 'work'
    work.mkdir()
    command = f'{sys.executable} {root}/tools/train.py {config} --work-dir {work}'
    script = f'mount -t tmpfs -o ro tmpfs {work}; {command}'
    done = subprocess.run(
        ['unshare', '--mount', '--map-root-user', 'bash', '-c', script], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f'error: the work dir {work} cannot be written to: Read-only file system' in done.stderr
    assert 'Traceback' not in done.stderr


def test_killed_workers(root, data, tmp_path):
    """They are started again, and the weights are those of a training with no worker."""
    settings = 'train_cfg = dict(max_epochs=8, val_interval=8)'
    config = write_config(tmp_path / 'c.py', root, data, settings)
    whole, work = tmp_path / 'whole', tmp_path / 'work'
    assert finish(start_training(root, config, whole), whole)[0] == 0
    loader = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    process = start_training(root, config, work, '--cfg-options', *loader)
    wait_for(work, 'Epoch(train)', process)
    (worker, *_) = psutil.Process(process.pid).children()
    worker.kill()
    code, log = finish(process, work)
    assert code == 0, log[-3000:]
    assert 'A worker of the data loader has died' in log
    check_same(whole / 'epoch_8.pth', work / 'epoch_8.pth')


def test_image_that_cannot_be_decoded(root, data, tmp_path):
    image = data / 'train' / '00002.png'
    image.write_bytes(image.read_bytes()[:200])  # its header is whole
    skip = "custom_hooks = [dict(type='UnusableImagesHook', max_share=0.5)]"
    config = write_config(tmp_path / 'c.py', root, data, SHORT, skip)
    work = tmp_path / 'work'
    loader = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    code, log = finish(start_training(root, config, work, '--cfg-options', *loader), work)
    assert code == 0, log[-3000:]
    message = f'{image} cannot be used; another image replaces it, as for 1 of 6 images so far'
    assert log.count(message) == 1

    config = write_config(tmp_path / 'c.py', root, data, SHORT)
    work = tmp_path / 'strict'
    code, log = finish(start_training(root, config, work), work)
    assert code == 1
    assert (
        f'error: 1 of 6 images, more than 1 %, cannot be used; repair or remove them:\n  {image}' in log
    )
    assert 'Traceback' not in log


def test_loss_that_is_not_finite(root, data, tmp_path):
    """The learning rate becomes far too high in the second epoch."""
    config = write_config(
        tmp_path / 'c.py',
        root,
        data,
        'train_cfg = dict(max_epochs=50, val_interval=50)',
        "param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[4], gamma=1e30)]",
        "custom_hooks = [dict(type='NonFiniteLossHook', patience=6)]",
        "default_hooks['checkpoint'].update(max_keep_ckpts=-1)",
    )
    work = tmp_path / 'work'
    code, log = finish(start_training(root, config, work), work)
    assert code == 1, log[-3000:]
    (error,) = [line for line in log.splitlines() if line.startswith('error: ')]
    assert 'the loss was not finite in the last' in error
    assert f'beginning with the images {data}/train/0000' in error
    assert f'--resume continues from {work}/epoch_' in error
    latest = Path((work / 'last_checkpoint').read_text())
    for path in work.glob('epoch_*.pth'):
        assert all(weight.isfinite().all() for weight in load_weights(path).values()), path
    assert str(latest) in error


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1', 'SIGINT'])
def test_signals(root, data, tmp_path, name):
    config = write_config(tmp_path / 'c.py', root, data, LONG)
    work = tmp_path / 'work'
    process = start_training(root, config, work)
    wait_for(work, 'Epoch(train)', process)
    number = getattr(signal, name)
    os.kill(process.pid, number)
    code, log = finish(process, work)
    assert code == 128 + number, log[-3000:]
    assert f'Stopped by {name}: saved {work}/interrupted.pth; --resume continues' in log
    assert 'Traceback' not in log
    process = start_training(root, config, work, '--resume')
    wait_for(work, 'resumed epoch', process)
    process.kill()


def test_resumed_with_another_batch_size(root, data, tmp_path):
    """Its batches are others, so that the interrupted epoch starts again."""
    config = write_config(tmp_path / 'c.py', root, data, LONG)
    work = tmp_path / 'work'
    process = start_training(root, config, work)
    wait_for(work, 'Epoch(train)', process)
    os.kill(process.pid, signal.SIGTERM)
    finish(process, work)
    options = ['--cfg-options', 'train_dataloader.batch_size=3']
    process = start_training(root, config, work, '--resume', *options)
    wait_for(work, 'it had 3 batches per process when it was interrupted, and has 2 now', process)
    wait_for(work, '[1/2]', process)
    process.kill()


def test_two_signals_end_at_once(root, data, tmp_path):
    """Iterations of many seconds, so that both arrive in the same one."""
    config = write_config(tmp_path / 'c.py', root, data, LONG)
    work = tmp_path / 'work'
    large = ['train_dataloader.dataset.pipeline.2.scale=[(1600,1600),(1600,1600)]']
    process = start_training(root, config, work, '--cfg-options', *large)
    wait_for(work, 'Epoch(train)', process)
    for _ in range(2):
        os.kill(process.pid, signal.SIGTERM)
        wait_for(work, 'SIGTERM: saving a checkpoint after this iteration', process)
    assert finish(process, work)[0] == -signal.SIGTERM
    assert not (work / 'interrupted.pth').exists()


def test_out_of_memory(root, data, tmp_path):
    config = write_config(tmp_path / 'c.py', root, data, SHORT)
    work = tmp_path / 'work'
    large = ['train_dataloader.dataset.pipeline.2.scale=[(4000,4000),(4000,4000)]']
    process = start_training(root, config, work, '--cfg-options', *large, memory=2**30)
    code, log = finish(process, work)
    assert code == 1, log[-3000:]
    assert (
        'error: out of memory at iteration 1 with train_dataloader.batch_size=2; lower it, or the size '
        'of the images, or use --amp or model.backbone.with_cp=True'
    ) in log
    assert 'Traceback' not in log


def test_damaged_latest_checkpoint(root, data, tmp_path):
    """It is reported and the one before is used."""
    config = write_config(
        tmp_path / 'c.py', root, data, SHORT, "default_hooks['checkpoint'].update(max_keep_ckpts=2)"
    )
    work = tmp_path / 'work'
    assert finish(start_training(root, config, work), work)[0] == 0
    latest = work / 'epoch_2.pth'
    whole = shutil.copy(latest, tmp_path / 'whole.pth')
    content = latest.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    for times, damaged in enumerate((content[:middle], changed), 1):
        latest.write_bytes(damaged)
        code, log = finish(start_training(root, config, work, '--resume'), work)
        assert code == 0, log[-3000:]
        assert log.count(f'{latest} cannot be read as a checkpoint') == times
        assert log.count('looking for the one before') == times
        assert log.count('resumed epoch: 1') == times
        check_same(whole, latest)

    for path in work.glob('epoch_*.pth'):
        path.write_bytes(b'damaged')
    code, log = finish(start_training(root, config, work, '--resume'), work)
    assert code == 1
    assert f'error: none of the checkpoints of {work} can be resumed, the latest is' in log
