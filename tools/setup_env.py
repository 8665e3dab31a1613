#!/usr/bin/env python3
"""Makes the virtual environment that a lock file describes, building mmcv once per machine.

mmcv comes as source and compiles C++ (and, on a machine with a GPU and nvcc, CUDA) against the
PyTorch that is installed. The wheel is kept in a cache folder named after what it was built against,
so that the next environment on the machine takes it from there, and never one that does not fit.
Needs the standard library only. Called by ``make setup``.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MMCV = re.compile(r'(onedl-)?mmcv==')
OURS = 'mmcednet.txt'  # in an environment made here: the lock's hash, the folder of the project
PYTHONS = ((3, 10), (3, 11), (3, 12))
FREE_GB = 8
BUILD_STEP = re.compile(r'\[(\d+)/(\d+)\]')
PROBE = """
import os, sys, torch
from torch.utils.cpp_extension import CUDA_HOME
gpu = torch.cuda.is_available()
tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
ops = 'cpu'
if gpu and CUDA_HOME and torch.version.cuda:
    major, minor = torch.cuda.get_device_capability()
    ops = f"cu{torch.version.cuda.replace('.', '')}-sm{major}{minor}"
print(f'torch{torch.__version__.split("+")[0]}-{tag}-{ops}', int(gpu), CUDA_HOME or '')
"""


def fail(message):
    sys.exit(f'setup: {message}')


def say(message):
    print(f'setup: {message}', flush=True)


def cache_folder():
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'mmcednet' / 'wheels'


def check_machine(venv):
    """End in a sentence, before the long steps, where one of them could not succeed."""
    version = sys.version_info[:2]
    if version not in PYTHONS:
        fail(
            f'Python {version[0]}.{version[1]} is not supported; use 3.10 to 3.12, '
            'for instance: make setup PYTHON=python3.11'
        )
    place = next(p for p in (venv, *venv.parents) if p.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free < FREE_GB:
        fail(f'{place} has {free:.0f} GB free; the environment and its downloads take {FREE_GB} GB')
    if not any(shutil.which(c) for c in (os.environ.get('CXX', 'c++'), 'g++', 'clang++')):
        fail('no C++ compiler found; install one, for instance: apt-get install g++')
    if not Path(sysconfig.get_paths()['include'], 'Python.h').exists():
        fail("Python's headers are missing; install them, for instance: apt-get install python3-dev")


def run(command, **kwargs):
    if subprocess.run(command, **kwargs).returncode:
        fail(f'this command failed, its output is above: {" ".join(map(str, command))}')


def pip_install(python, *args):
    run([python, '-m', 'pip', 'install', '--no-deps', '--disable-pip-version-check', *args])


def mmcv_wheel(python, requirement):
    """The wheel of mmcv for this machine's PyTorch, from the cache or built now."""
    probe = subprocess.run([python, '-c', PROBE], capture_output=True, text=True)
    if probe.returncode:
        fail(f'PyTorch was installed but does not import: {probe.stderr.strip()}')
    key, gpu, cuda_home = probe.stdout.rstrip('\n').split(' ', 2)
    with_cuda = '-cu' in key
    if gpu == '1' and not with_cuda:
        say(
            'there is a GPU but no nvcc, so mmcv is built for the CPU only; to train on the GPU, '
            'install the CUDA toolkit, remove this environment and run this again'
        )
    name = requirement.replace('-', '_').replace('==', '-')
    folder = cache_folder() / key
    cached = sorted(folder.glob(f'{name}-*.whl'))
    if cached:
        say(f'{requirement} was built before: {cached[0]}')
        return cached[0]
    path = os.pathsep.join([str(Path(python).parent), os.environ.get('PATH', '')])  # for ninja
    env = dict(os.environ, MMCV_WITH_OPS='1', PATH=path)
    env.setdefault('MAX_JOBS', str(os.cpu_count() or 1))
    if with_cuda:
        env.update(FORCE_CUDA='1')
    else:
        env.update(FORCE_CUDA='0', CUDA_VISIBLE_DEVICES='')  # nvcc without a GPU builds no CUDA
    minutes = max(2, round((60 if with_cuda else 26) / int(env['MAX_JOBS'])))
    say(
        f'compiling {requirement} ({"CUDA " + cuda_home if with_cuda else "CPU only"}), about '
        f'{minutes} minutes on {env["MAX_JOBS"]} cores, once; the wheel is kept in {folder}'
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        # --no-cache-dir: pip's own cache does not know which PyTorch a wheel was built against.
        command = [python, '-m', 'pip', 'wheel', '-v', '--no-deps', '--no-build-isolation']
        command += ['--no-cache-dir', '-w', temporary, requirement]
        build(command, env, folder / f'{name}.log')
        wheel = next(Path(temporary).glob('*.whl'))
        return wheel.replace(folder / wheel.name)


def build(command, env, log):
    """Run the build with a progress bar; its whole output goes to ``log``."""
    start = time.time()
    tail, last = [], -1
    with (
        open(log, 'w') as file,
        subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout:
            file.write(line)
            tail = [*tail[-14:], line]
            step = BUILD_STEP.search(line)
            if step:
                last = show_progress(int(step[1]), int(step[2]), time.time() - start, last)
    if process.returncode:
        fail(f'the build failed (all of its output: {log}):\n{"".join(tail)}')
    print(f'\rsetup: compiled in {(time.time() - start) / 60:.1f} minutes{" " * 40}', flush=True)


def show_progress(done, total, seconds, last):
    """A bar on a terminal, a line every tenth elsewhere; returns what was shown last."""
    tenth = 10 * done // total
    text = f'{done}/{total} files, {seconds / 60:.1f} min'
    if done > 1:
        text += f', {seconds * (total - done) / done / 60:.1f} min left'
    if sys.stdout.isatty():
        bar = '#' * (30 * done // total)
        print(f'\r  [{bar:<30}] {text}   ', end='', flush=True)
    elif tenth != last:
        print(f'  {text}', flush=True)
    return tenth


def make_environment(venv, lock):
    """A virtual environment with all that ``lock`` pins."""
    if venv.exists() and any(venv.iterdir()) and not (venv / OURS).exists():
        fail(f'{venv} is there and was not made by this; choose another place with VENV=')
    check_machine(venv)
    say(f'making {venv} from {lock.name}: 5 GB, 2 of them to download the first time')
    run([sys.executable, '-m', 'venv', '--clear', venv])
    (venv / OURS).touch()
    python = venv / 'bin' / 'python'
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as others:
        lines = lock.read_text().splitlines()
        mmcv = next(line for line in lines if MMCV.match(line))
        others.write('\n'.join(line for line in lines if line != mmcv))
        others.flush()
        pip_install(python, '-r', others.name)
    pip_install(python, mmcv_wheel(python, mmcv))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='default: .venv')
    parser.add_argument(
        '--lock',
        type=Path,
        default=ROOT / 'requirements' / 'onedl.lock',
        help='default: onedl.lock',
    )
    args = parser.parse_args()
    start = time.time()
    venv = args.venv.absolute()
    ready = venv / OURS
    lock, project = hashlib.sha256(args.lock.read_bytes()).hexdigest(), str(ROOT)
    state = ready.read_text().splitlines() if ready.exists() else []
    if state == [lock, project]:
        return
    if state[:1] != [lock]:
        make_environment(venv, args.lock)
    pip_install(venv / 'bin' / 'python', '-q', '--no-build-isolation', '-e', ROOT)
    ready.write_text(f'{lock}\n{project}\n')
    say(f'{venv} is ready, in {(time.time() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    main()
