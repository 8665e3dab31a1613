"""The environment's script: what it refuses, and when it is instant. Building is for `make setup`."""

import hashlib
import importlib.util
import subprocess
import sys

import pytest


@pytest.fixture
def setup_env(root):
    spec = importlib.util.spec_from_file_location('setup_env', root / 'tools' / 'setup_env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(root, tmp_path):
    def call(venv, **env):
        command = [sys.executable, root / 'tools' / 'setup_env.py', '--venv', venv]
        return subprocess.run(command, capture_output=True, text=True, env={'PATH': '', **env})

    return call


def test_a_ready_environment_is_left_alone(run, root, tmp_path):
    lock = hashlib.sha256((root / 'requirements' / 'onedl.lock').read_bytes()).hexdigest()
    (tmp_path / 'mmcednet.txt').write_text(f'{lock}\n{root}\n')
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (0, '')


def test_a_folder_of_somebody_is_refused(run, tmp_path):
    (tmp_path / 'thesis.txt').write_text('precious')
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f'setup: {tmp_path} is there and was not made by this; choose another place with VENV=\n'
    )
    assert (tmp_path / 'thesis.txt').read_text() == 'precious'


def test_no_compiler(run, tmp_path):
    result = run(tmp_path / 'new')
    assert result.returncode == 1
    assert 'no C++ compiler found' in result.stderr
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('version', [(3, 9), (3, 13)])
def test_other_pythons(setup_env, monkeypatch, tmp_path, version):
    monkeypatch.setattr(setup_env.sys, 'version_info', (*version, 0))
    with pytest.raises(SystemExit, match=rf'Python {version[0]}\.{version[1]} is not supported'):
        setup_env.check_machine(tmp_path)


def test_a_full_disk(setup_env, monkeypatch, tmp_path):
    usage = type('Usage', (), dict(free=3e9))
    monkeypatch.setattr(setup_env.shutil, 'disk_usage', lambda place: usage)
    with pytest.raises(SystemExit, match='has 3 GB free'):
        setup_env.check_machine(tmp_path / 'a' / 'b')


def test_progress_is_shown_and_failures_keep_their_log(setup_env, tmp_path, capsys):
    steps = "for i in range(1, 21): print(f'[{i}/20] c++ file')"
    setup_env.build([sys.executable, '-c', steps], None, tmp_path / 'build.log')
    shown = capsys.readouterr().out
    assert '20/20 files' in shown
    assert len(shown.splitlines()) < 15
    assert len((tmp_path / 'build.log').read_text().splitlines()) == 20
    broken = "import sys; print('[1/2] c++'); sys.exit('fatal error: Python.h')"
    with pytest.raises(SystemExit, match=r'all of its output: .*build\.log'):
        setup_env.build([sys.executable, '-c', broken], None, tmp_path / 'build.log')
    assert 'Python.h' in (tmp_path / 'build.log').read_text()


def test_locks_hold_one_set_each(root):
    for name, theirs in (('onedl', False), ('openmmlab', True)):
        lines = (root / 'requirements' / f'{name}.lock').read_text().splitlines()
        toolboxes = [line for line in lines if 'mm' in line.split('==')[0] and '==' in line]
        names = {line.split('==')[0] for line in toolboxes}
        assert {n.startswith('onedl-') for n in names if n.removeprefix('onedl-').startswith('mm')} == {
            not theirs
        }
        assert all('==' in line for line in lines)
