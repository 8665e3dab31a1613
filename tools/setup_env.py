#!/usr/bin/env python3
"""Creates the virtual environment of a lock file, with an mmcv that fits the installed PyTorch.

mmcv's C++ operators (and, on a machine with a GPU, its CUDA operators) are compiled against one version
of PyTorch. The index of mmcv's publisher has wheels for some versions, see mmcv_wheel.py; for others,
mmcv is compiled here. The wheel is cached in a folder named after what it was built against, so that
later environments on this machine reuse it, but only if it fits.

Called by ``make setup``. Uses the standard library only, as nothing is installed yet.
"""

# Annotations are not evaluated, so that an older Python gets as far as check_machine.
from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mmcv_wheel import NoWheelError, download_wheel, get_index_page, install_checked

ROOT = Path(__file__).resolve().parent.parent
MMCV = re.compile(r'(onedl-)?mmcv==')
# Marks an environment created here: hash of the lock file, project folder, hash of setup.py
MARKER = 'mmcednet.txt'
# Lock file -> last Python 3 that its packages support; the first one is 3.10
LAST_PYTHONS = {'onedl.lock': 12, 'openmmlab.lock': 11}
REQUIRED_GB = 8
BUILD_STEP = re.compile(r'\[(\d+)/(\d+)\]')
PROBE = """
import json, sys, torch
from torch.utils.cpp_extension import CUDA_HOME
cuda, sm = '', ''
if torch.cuda.is_available() and torch.version.cuda:
    cuda = 'cu' + torch.version.cuda.replace('.', '')
    sm = 'sm{}{}'.format(*torch.cuda.get_device_capability())
build = dict(torch=torch.__version__.split('+')[0], cuda=cuda, sm=sm, cuda_home=CUDA_HOME or '')
print(json.dumps(dict(build, python='cp{}{}'.format(*sys.version_info))))
"""


def fail(message: str) -> NoReturn:
    sys.exit(f'setup: {message}')


def log(message: str) -> None:
    print(f'setup: {message}', flush=True)


def get_cache_dir() -> Path:
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'mmcednet' / 'wheels'


def check_machine(venv: Path, lock: Path) -> None:
    """Exit with an error message if Python, disk space, compiler or headers are insufficient.

    Called before the steps that take minutes, each of which would fail later.
    """
    version, last = sys.version_info[:2], LAST_PYTHONS[lock.name]
    if not (3, 10) <= version <= (3, last):
        fail(
            f'Python {version[0]}.{version[1]} is not supported by {lock.name}; use 3.10 to 3.{last}, '
            'for instance: make setup PYTHON=python3.11'
        )
    folder = next(path for path in (venv, *venv.parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    if free < REQUIRED_GB:
        fail(
            f'{folder} has {free:.0f} GB free; the environment and its downloads need {REQUIRED_GB} GB'
        )
    if not any(shutil.which(name) for name in (os.environ.get('CXX', 'c++'), 'g++', 'clang++')):
        fail('no C++ compiler found; install one, for instance: apt-get install g++')
    if not Path(sysconfig.get_paths()['include'], 'Python.h').exists():
        fail("Python's headers are missing; install them, for instance: apt-get install python3-dev")


def run_command(command: list[str | Path]) -> None:
    if subprocess.run(command).returncode:
        fail(f'this command failed, see its output above: {" ".join(map(str, command))}')


def pip_install(python: Path, *args: str | Path) -> None:
    run_command([python, '-m', 'pip', 'install', '--no-deps', '--disable-pip-version-check', *args])


def install_mmcv(python: Path, requirement: str) -> None:
    """Install mmcv for the installed PyTorch: from the cache, else prebuilt, else newly compiled.

    Args:
        python: Interpreter of the environment, in which PyTorch is installed.
        requirement: Pinned requirement of mmcv, such as ``mmcv==2.1.0``.
    """
    probe = subprocess.run([python, '-c', PROBE], capture_output=True, text=True)
    if probe.returncode:
        fail(f'PyTorch is installed but cannot be imported: {probe.stderr.strip()}')
    build = json.loads(probe.stdout)
    versions = f'torch{build["torch"]}-{build["python"]}'
    cpu_folder = get_cache_dir() / f'{versions}-cpu'
    cuda_folder = get_cache_dir() / f'{versions}-{build["cuda"]}-{build["sm"]}'
    folder = cuda_folder if build['cuda'] else cpu_folder
    wheel = find_cached_wheel(folder, requirement)
    if wheel is None and install_prebuilt(python, requirement, build, folder):
        return
    if wheel is None and build['cuda'] and not build['cuda_home']:
        log(
            'found a GPU, but neither a prebuilt wheel nor nvcc, so mmcv is built for the CPU only; '
            'to train on the GPU, install the CUDA toolkit, remove this environment and run make setup '
            'again'
        )
        build['cuda'], folder = '', cpu_folder
        wheel = find_cached_wheel(folder, requirement)
    pip_install(python, wheel or compile_mmcv(python, requirement, build, folder))


def find_cached_wheel(folder: Path, requirement: str) -> Path | None:
    name = requirement.replace('-', '_').replace('==', '-')
    for wheel in folder.glob(f'{name}-*.whl'):
        log(f'using the cached wheel of {requirement}: {wheel}')
        return wheel
    return None


def install_prebuilt(python: Path, requirement: str, build: dict[str, str], folder: Path) -> bool:
    """Install the wheel of mmcv's index, if it has one that works, and cache it in ``folder``."""
    page = get_index_page(requirement, build['torch'], build['cuda'] or 'cpu')
    if page is None:
        return False
    log(f'looking for a prebuilt wheel of {requirement} in {page}')
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        try:
            wheel = download_wheel(python, requirement, page, Path(temporary))
            log(f'checking the operators of {wheel.name}')
            install_checked(python, wheel, 'cuda' if build['cuda'] else 'cpu')
        except NoWheelError as error:
            log(str(error))
            return False
        log(f'installed a prebuilt wheel, its operators work; it is cached in {folder}')
        wheel.replace(folder / wheel.name)
    return True


def compile_mmcv(python: Path, requirement: str, build: dict[str, str], folder: Path) -> Path:
    """Compile mmcv with CUDA operators if ``build['cuda']`` is set; return the wheel in ``folder``."""
    path = os.pathsep.join([str(Path(python).parent), os.environ.get('PATH', '')])  # for ninja
    env = dict(os.environ, MMCV_WITH_OPS='1', PATH=path)
    env.setdefault('MAX_JOBS', str(os.cpu_count() or 1))
    if build['cuda']:
        env.update(FORCE_CUDA='1')
    else:
        env.update(FORCE_CUDA='0', CUDA_VISIBLE_DEVICES='')  # even if nvcc is installed
    minutes = max(2, round((60 if build['cuda'] else 26) / int(env['MAX_JOBS'])))
    log(
        f'compiling {requirement} ({"CUDA " + build["cuda_home"] if build["cuda"] else "CPU only"}), '
        f'about {minutes} minutes on {env["MAX_JOBS"]} cores; the wheel will be cached in {folder}'
    )
    folder.mkdir(parents=True, exist_ok=True)
    name = requirement.replace('-', '_').replace('==', '-')
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        # --no-cache-dir: pip's cache ignores which PyTorch a wheel was built against.
        command = [python, '-m', 'pip', 'wheel', '-v', '--no-deps', '--no-build-isolation']
        command += ['--no-cache-dir', '-w', temporary, requirement]
        run_build(command, env, folder / f'{name}.log')
        wheel = next(Path(temporary).glob('*.whl'))
        return wheel.replace(folder / wheel.name)


def run_build(command: list[str | Path], env: dict[str, str] | None, log_file: Path) -> None:
    """Run the build with a progress bar and write its complete output to ``log_file``."""
    start = time.time()
    tail: list[str] = []
    tenth = -1
    with (
        open(log_file, 'w') as file,
        subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout:
            file.write(line)
            tail = [*tail[-14:], line]
            step = BUILD_STEP.search(line)
            if step:
                tenth = show_progress(int(step[1]), int(step[2]), time.time() - start, tenth)
    if process.returncode:
        fail(f'the build failed (complete output: {log_file}):\n{"".join(tail)}')
    print(f'\rsetup: compiled in {(time.time() - start) / 60:.1f} minutes{" " * 40}', flush=True)


def show_progress(done: int, total: int, seconds: float, last_tenth: int) -> int:
    """Show a progress bar in a terminal, otherwise print a line per 10 %.

    Args:
        done: Number of compiled files.
        total: Number of all files.
        seconds: Time since the start.
        last_tenth: Return value of the previous call; -1 at first.

    Returns:
        The progress in tenths, rounded down.
    """
    tenth = 10 * done // total
    text = f'{done}/{total} files, {seconds / 60:.1f} min'
    if done > 1:
        text += f', {seconds * (total - done) / done / 60:.1f} min left'
    if sys.stdout.isatty():
        bar = '#' * (30 * done // total)
        print(f'\r  [{bar:<30}] {text}   ', end='', flush=True)
    elif tenth != last_tenth:
        print(f'  {text}', flush=True)
    return tenth


def create_environment(venv: Path, lock: Path) -> None:
    """Create a virtual environment with the pinned packages of a lock file."""
    if venv.exists() and any(venv.iterdir()) and not (venv / MARKER).exists():
        fail(f'{venv} exists but was not created by make setup; choose another one with VENV=')
    check_machine(venv, lock)
    log(f'creating {venv} from {lock.name}: 5 GB, of which 2 GB are downloaded the first time')
    run_command([sys.executable, '-m', 'venv', '--clear', venv])
    (venv / MARKER).touch()
    python = venv / 'bin' / 'python'
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as others:
        lines = lock.read_text().splitlines()
        mmcv = next(line for line in lines if MMCV.match(line))
        others.write('\n'.join(line for line in lines if line != mmcv))
        others.flush()
        pip_install(python, '-r', others.name)
    install_mmcv(python, mmcv)


def compute_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='default: .venv')
    parser.add_argument(
        '--lock',
        type=Path,
        default=ROOT / 'requirements' / 'onedl.lock',
        help='lock file; default: requirements/onedl.lock',
    )
    args = parser.parse_args(argv)
    start = time.time()
    venv = args.venv.absolute()
    marker = venv / MARKER
    lock, packaging = map(compute_hash, (args.lock, ROOT / 'setup.py'))
    project = [str(ROOT), packaging]
    state = marker.read_text().splitlines() if marker.exists() else []
    if state == [lock, *project]:
        return 0
    if state[:1] != [lock]:
        create_environment(venv, args.lock)
    pip_install(venv / 'bin' / 'python', '-q', '--no-build-isolation', '-e', ROOT)
    marker.write_text('\n'.join([lock, *project, '']))
    log(f'{venv} is ready after {(time.time() - start) / 60:.1f} minutes')
    return 0


if __name__ == '__main__':
    sys.exit(main())
