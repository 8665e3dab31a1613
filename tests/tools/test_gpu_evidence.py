"""tools/gpu_evidence.sh: nothing is begun that has no time left."""

import os
import shutil
import subprocess

import pytest


@pytest.mark.skipif(shutil.which('bash') is None, reason='needs bash')
def test_steps_without_time_are_left(root, tmp_path):
    command = ['bash', root / 'tools' / 'gpu_evidence.sh', tmp_path / 'out', tmp_path, tmp_path]
    env = dict(os.environ, LIMIT='0')
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, 'setup is left for another call\n')
    assert not list((tmp_path / 'out' / 'steps').iterdir())
