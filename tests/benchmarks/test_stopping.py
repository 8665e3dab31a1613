"""benchmarks/fusion/stopping.py: a benchmark that is stopped ends its trainings, and says so."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mmcednet.data.shapes import draw_dataset

SETTINGS = {
    'early_fusion': '--models cednet_m1 --iters 4000 --scale 64 64 --recipe 1e-3 0.05 --seeds 2',
    'initial_weights': '--weights none --epochs 4000 --seeds 2',
}


@pytest.mark.slow
@pytest.mark.parametrize('script', SETTINGS)
@pytest.mark.parametrize(
    ('number', 'send'), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)], ids=['Ctrl-C', 'kill']
)
def test_trainings_end(root, script, number, send, tmp_path):
    data, out = draw_dataset(tmp_path / 'shapes', train=4, val=2, size=64, seed=0), tmp_path / 'out'
    command = [sys.executable, root / 'benchmarks' / f'{script}.py', '--data', data, '--out', out]
    process = subprocess.Popen(
        [*map(str, command), '--jobs', '1', *SETTINGS[script].split()],
        env=dict(os.environ, PYTHONPATH=str(root)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not any(out.glob('*/*/vis_data/scalars.json')):
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    send(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (
        128 + number,
        'stopped; the same command continues',
    )
    assert 'Traceback' not in errors
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not (out / 'results.json').exists()
