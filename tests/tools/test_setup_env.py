"""setup_env.py's checks and its progress bar; `make setup` itself is too slow for a test."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def run(root):
    """Runs the script without a PATH and, with -S, without any installed package."""

    def call(venv):
        command = [sys.executable, '-S', root / 'tools' / 'setup_env.py', '--venv', venv]
        return subprocess.run(command, capture_output=True, text=True, env={'PATH': ''})

    return call


def test_up_to_date_environment_is_left_unchanged(run, root, tmp_path):
    files = (root / 'requirements' / 'onedl.lock', root / 'setup.py')
    lock, packaging = (hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    (tmp_path / 'mmcednet.txt').write_text(f'{lock}\n{root}\n{packaging}\n')
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (0, '')


def test_foreign_folder_is_refused(run, tmp_path):
    (tmp_path / 'thesis.txt').write_text('precious')
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f'setup: {tmp_path} exists but was not created by make setup; choose another one with VENV=\n'
    )
    assert (tmp_path / 'thesis.txt').read_text() == 'precious'


def test_missing_compiler_is_reported(run, tmp_path):
    result = run(tmp_path / 'new')
    assert result.returncode == 1
    assert 'no C++ compiler found' in result.stderr
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize(
    ('version', 'lock'), [((3, 9), 'onedl'), ((3, 13), 'onedl'), ((3, 12), 'openmmlab')]
)
def test_unsupported_python_is_reported(setup_env, monkeypatch, tmp_path, version, lock):
    monkeypatch.setattr(setup_env.sys, 'version_info', (*version, 0))
    message = rf'Python {version[0]}\.{version[1]} is not supported by {lock}\.lock; use 3\.10 to 3\.1'
    with pytest.raises(SystemExit, match=message):
        setup_env.check_machine(tmp_path, Path(f'{lock}.lock'))


def test_full_disk_is_reported(setup_env, monkeypatch, tmp_path):
    usage = type('Usage', (), dict(free=3e9))
    monkeypatch.setattr(setup_env.shutil, 'disk_usage', lambda place: usage)
    with pytest.raises(SystemExit, match='has 3 GB free'):
        setup_env.check_machine(tmp_path / 'a' / 'b', Path('onedl.lock'))


def test_build_shows_progress_and_keeps_the_log_of_a_failure(setup_env, tmp_path, capsys):
    steps = "for i in range(1, 21): print(f'[{i}/20] c++ file')"
    setup_env.run_build([sys.executable, '-c', steps], None, tmp_path / 'build.log')
    shown = capsys.readouterr().out
    assert '20/20 files' in shown
    assert len(shown.splitlines()) < 15
    assert len((tmp_path / 'build.log').read_text().splitlines()) == 20
    broken = "import sys; print('[1/2] c++'); sys.exit('fatal error: Python.h')"
    with pytest.raises(SystemExit, match=r'complete output: .*build\.log'):
        setup_env.run_build([sys.executable, '-c', broken], None, tmp_path / 'build.log')
    assert 'Python.h' in (tmp_path / 'build.log').read_text()


def test_lock_files_do_not_mix_onedl_and_openmmlab(root):
    for name, onedl in (('onedl', True), ('openmmlab', False)):
        lines = (root / 'requirements' / f'{name}.lock').read_text().splitlines()
        toolboxes = [line for line in lines if 'mm' in line.split('==')[0] and '==' in line]
        names = {line.split('==')[0] for line in toolboxes}
        openmmlab = [n for n in names if n.removeprefix('onedl-').startswith('mm')]
        assert {n.startswith('onedl-') for n in openmmlab} == {onedl}
        assert all('==' in line for line in lines)
