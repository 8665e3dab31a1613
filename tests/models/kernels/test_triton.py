"""The operators in Triton, in Triton's interpreter and compiled for GPUs, without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('triton', minversion='3.3')

HERE = Path(__file__).parent


def run_interpreted(*args):
    """Run tests in a process of its own, where Triton interprets its kernels."""
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *args]
    env = dict(os.environ, TRITON_INTERPRET='1')
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]


def test_interpreted():
    run_interpreted(HERE / 'interpreted.py', '-m', 'not slow')


@pytest.mark.slow
def test_interpreted_at_all_widths():
    run_interpreted(HERE / 'interpreted.py', '-m', 'slow')


@pytest.mark.slow
def test_interpreted_as_the_other_implementations():
    run_interpreted(HERE / 'test_operators.py', '-k', 'triton')
