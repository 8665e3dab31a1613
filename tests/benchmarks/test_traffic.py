"""Kernels and bytes of the blocks on a GPU, counted without one."""

import subprocess
import sys

import pytest

pytest.importorskip('triton', minversion='3.3')


@pytest.mark.slow
def test_blocks(root):
    command = [sys.executable, root / 'benchmarks' / 'traffic.py', '--channels', '96']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = [line.strip('| ').split(' | ') for line in result.stdout.splitlines()[2:]]
    kernels = {row[0]: [int(row[index].split()[0]) for index in (1, 3)] for row in rows}
    assert kernels['dwconv, operators'] == [2, 6]  # convolution, the rest; in training 4 for the MLP
    assert kernels['dwconv, long-range, operators'] == [4, 8]
    quotients = {row[0]: float(row[-1].split(', ')[1]) for row in rows}
    assert quotients['dwconv, operators'] <= 0.55 and quotients['dwconv, long-range, operators'] <= 0.55
    for name, quotient in quotients.items():
        assert quotient < 1 or 'plain' in name
