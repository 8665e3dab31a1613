"""tools/gpu_check.sh and tools/gpu_evidence.sh: what they call exists, and has the options."""

import json
import os
import runpy
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(shutil.which('bash') is None, reason='needs bash')
RECORDER = """#!{python}
import json, sys
with open({calls!r}, 'a') as file:
    print(json.dumps(sys.argv[1:]), file=file)
"""


@pytest.fixture
def record(root, tmp_path):
    """Run a script with a Python that only records its arguments, and return those of each call."""
    python, calls = tmp_path / 'python', tmp_path / 'calls'
    python.write_text(RECORDER.format(python=sys.executable, calls=str(calls)))
    python.chmod(0o755)

    def run(name, device, *args):
        env = dict(os.environ, PYTHON=str(python), DEVICE=device, LIMIT='36000')
        command = ['bash', root / 'tools' / name, tmp_path / 'out', *args]
        subprocess.run(command, cwd=root, env=env, check=True)
        return [json.loads(line) for line in calls.read_text().splitlines()]

    return run


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
@pytest.mark.parametrize(
    ('name', 'number', 'scripts'),
    [
        (
            'gpu_check.sh',
            8,
            {'benchmarks/network.py', 'benchmarks/operators.py', 'tools/analysis/paper_tables.py'},
        ),
        (
            'gpu_evidence.sh',
            15,
            {'benchmarks/pretraining.py', 'benchmarks/early_fusion.py', 'tools/distill.py'},
        ),
    ],
)
def test_options_of_the_commands(root, record, monkeypatch, tmp_path, device, name, number, scripts):
    images = ['images', 'cells', 'nuclei'] if name == 'gpu_evidence.sh' else []
    for image in images:
        (tmp_path / image).mkdir()
    calls = record(name, device, *(tmp_path / image for image in images))
    commands = [args for args in calls if args[0].endswith('.py')]
    for script, *args in commands:
        monkeypatch.syspath_prepend((root / script).parent)
        runpy.run_path(str(root / script))['parse_args'](args)
    assert {script for script, *_ in commands} == scripts
    assert len(commands) == number
    for args in calls:
        if args[:2] == ['-m', 'pytest']:
            (file,) = (arg for arg in args if arg.startswith('tests/'))
            assert (root / file).is_file()


def test_steps_without_time_are_left(root, tmp_path):
    command = ['bash', root / 'tools' / 'gpu_evidence.sh', tmp_path / 'out', tmp_path, tmp_path]
    env = dict(os.environ, LIMIT='0')
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, 'setup is left for another call\n')
    assert not list((tmp_path / 'out' / 'steps').iterdir())
