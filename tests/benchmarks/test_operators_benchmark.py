"""benchmarks/operators.py in Triton's interpreter."""

import json
import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip('triton', minversion='3.3')


def run(root, *args, **env):
    command = [sys.executable, root / 'benchmarks' / 'operators.py', '--device', 'cpu', *args]
    env = dict(os.environ, PYTHONPATH=str(root), **env)
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_table_and_tiles(root, tmp_path):
    """All operators at one width; the best tiles are written in the form in which they were read."""
    shutil.copytree(root / 'mmcednet', tmp_path / 'mmcednet', ignore=shutil.ignore_patterns('weights'))
    for name in ('benchmarks', 'mmcednet_threads.py'):
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, tmp_path / name)
    args = ['--size', '4', '4', '--channels', '96', '--batch', '1', '--rounds', '1']
    args += ['--candidates', '1', '--write']
    done = run(tmp_path, *args, TRITON_INTERPRET='1')
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.strip('| ').split(' | ') for line in done.stdout.splitlines() if line[:1] == '|'][2:]
    assert len(rows) == 7 and all(float(value) > 0 for row in rows for value in row[3:6])  # us
    paths = [folder / 'mmcednet/models/kernels/triton/tiles.json' for folder in (root, tmp_path)]
    old, new = (json.loads(path.read_text()) for path in paths)
    assert old.keys() == new.keys()
    assert all(old[name].keys() == new[name].keys() for name in ('CONV', 'MLP_LARGE'))


def test_without_a_gpu(root):
    done = run(root)
    assert done.returncode == 1
    assert done.stderr.startswith('error: there are no operators in Triton to time: there is no GPU')


@pytest.mark.slow
def test_a_width_that_the_arch_does_not_have(root):
    done = run(root, '--channels', '97')
    assert done.returncode == 2
    assert '--channels 97 must be one of the widths of tiny, (96, 192, 352, 512)' in done.stderr
