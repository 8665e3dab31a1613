"""The shell scripts: what slurm_train.sh passes to srun, and shellcheck."""

import os
import shutil
import subprocess
import sys

import pytest
from code_blocks import read_code_blocks

SRUN = """#!/bin/sh
printf '%s\\n' "$@" > {record}
exit ${{SRUN_CODE:-0}}
"""
SCONTROL = """#!/bin/sh
echo "$@" > {record}
"""


@pytest.fixture
def call_srun(root, tmp_path):
    """Run slurm_train.sh with an ``srun`` that writes down its arguments, and return them."""
    record, srun = tmp_path / 'arguments', tmp_path / 'bin' / 'srun'
    srun.parent.mkdir()
    srun.write_text(SRUN.format(record=record))
    srun.chmod(0o755)
    scontrol = srun.with_name('scontrol')
    scontrol.write_text(SCONTROL.format(record=tmp_path / 'requeued'))
    scontrol.chmod(0o755)

    def call(*args, script=None, expected_code=0, **env):
        path = f'{srun.parent}{os.pathsep}{os.environ["PATH"]}'
        result = subprocess.run(
            ['bash', script or root / 'tools' / 'slurm_train.sh', *args],
            env=dict(os.environ, PATH=path, PYTHON=sys.executable, **env),
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert result.returncode == expected_code, result.stderr
        return record.read_text().splitlines() if record.exists() else result.stderr

    return call


def test_arguments_of_srun(root, call_srun):
    found = call_srun('gpu', 'cednet', 'config.py', '--work-dir', 'a folder', '--resume')
    assert found == [
        *('--partition=gpu', '--job-name=cednet', '--gres=gpu:8', '--ntasks=8', '--ntasks-per-node=8'),
        *('--cpus-per-task=5', '--kill-on-bad-exit=1', sys.executable, '-u'),
        *(str(root / 'tools' / 'train.py'), 'config.py', '--launcher', 'slurm'),
        *('--work-dir', 'a folder', '--resume'),
    ]


@pytest.mark.parametrize(
    ('env', 'resources'),
    [
        (dict(GPUS='16'), ['--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8']),
        (dict(GPUS='2'), ['--gres=gpu:2', '--ntasks=2', '--ntasks-per-node=2']),
        (dict(GPUS='8', GPUS_PER_NODE='4'), ['--gres=gpu:4', '--ntasks=8', '--ntasks-per-node=4']),
        (dict(CPUS_PER_TASK='12'), ['--cpus-per-task=12']),
        (dict(SRUN_ARGS='--requeue --time=8:00:00'), ['--requeue', '--time=8:00:00', sys.executable]),
    ],
)
def test_resources(call_srun, env, resources):
    found = call_srun('gpu', 'cednet', 'config.py', **env)
    start = found.index(resources[0])
    assert found[start : start + len(resources)] == resources


def test_usage(call_srun):
    assert 'PARTITION JOB_NAME CONFIG' in call_srun('gpu', 'cednet', expected_code=2)


@pytest.fixture
def array_script(root, tmp_path):
    """The script of docs/clusters.md that trains several configs."""
    (code,) = read_code_blocks(root / 'docs' / 'clusters.md', 'bash')
    path = tmp_path / 'array.sh'
    path.write_text(code)
    return path


@pytest.mark.parametrize(('task', 'name'), enumerate(['cednet_t', 'cednet_s', 'cednet_b']))
def test_each_task_of_an_array_trains_its_config(root, call_srun, array_script, task, name):
    found = call_srun(script=array_script, SLURM_ARRAY_TASK_ID=str(task))
    config = f'configs/retinanet/{name}.py'
    weights = ['--pretrained', f'weights/{name}.pth']
    assert found[-6:] == [config, '--launcher', 'slurm', '--resume', *weights]
    assert (root / config).is_file()


@pytest.mark.parametrize(('code', 'requeued'), [(138, True), (1, False), (0, False)])
def test_a_task_that_sigusr1_stopped_is_requeued(call_srun, array_script, tmp_path, code, requeued):
    env = dict(SRUN_CODE=str(code), SLURM_JOB_ID='77')
    call_srun(script=array_script, expected_code=code, **env)
    record = tmp_path / 'requeued'
    assert (record.read_text() == 'requeue 77\n') if requeued else not record.exists()


@pytest.mark.skipif(shutil.which('shellcheck') is None, reason='shellcheck is not installed')
def test_shellcheck(root, array_script):
    scripts = sorted((root / 'tools').glob('*.sh'))
    assert len(scripts) == 3
    result = subprocess.run(['shellcheck', *scripts, array_script], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
