"""Downloads mmcv's prebuilt wheel from its publisher's index, installs it and checks its operators.

The index has a page of wheels for each device and torch version. Its address is the one that the
publisher's own installer uses (``onedl-mim``, ``openmim``); as there, the environment variable
``MMCV_BASE_URL`` replaces the server. pip chooses the wheel: its name, version, Python and platform
must fit. The index is asked for mmcv only, never for another package.

Used by setup_env.py. Uses the standard library only, as nothing is installed yet.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

SERVERS = {'onedl-mmcv': 'https://mmwheels.onedl.ai', 'mmcv': 'https://download.openmmlab.com'}
PAGES = {
    'onedl-mmcv': '{device}-torch{digits}/simple/onedl-mmcv/index.html',
    'mmcv': 'mmcv/dist/{device}/torch{torch}/index.html',
}
SILENCE_SECONDS = 5  # until pip gives up on a server that sends nothing
ASK_SECONDS = 15  # for the index page
DOWNLOAD_SECONDS = 600  # for the wheel; compiling takes longer
CHECK = """
import sys, torch
from mmcv.ops import get_compiling_cuda_version, nms
device = sys.argv[1]
if device == 'cuda' and get_compiling_cuda_version() == 'not available':
    sys.exit('it has no CUDA operators')
boxes = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], device=device)
scores = torch.tensor([0.5, 0.9, 0.7], device=device)
kept = nms(boxes, scores, iou_threshold=0.5)[1].tolist()
if kept != [1, 2]:
    sys.exit(f'its nms keeps the boxes {kept} instead of [1, 2]')
"""


class NoWheelError(Exception):
    """The index has no usable wheel; the message says why."""


def get_index_page(requirement: str, torch: str, device: str) -> str | None:
    """Return the address of the index page, or ``None`` if ``MMCV_BASE_URL`` is empty: do not ask.

    Args:
        requirement: Pinned requirement of mmcv, such as ``mmcv==2.1.0``.
        torch: Version of the installed PyTorch, such as ``'2.1.2'``.
        device: ``'cpu'``, or ``'cu'`` and the digits of PyTorch's CUDA version, such as ``'cu121'``.
    """
    package = requirement.split('==')[0]
    server = os.environ.get('MMCV_BASE_URL', SERVERS[package])
    if not server:
        return None
    minor = '.'.join([*torch.split('.')[:2], '0'])  # one build fits all patch releases of PyTorch
    page = PAGES[package].format(device=device, torch=minor, digits=minor.replace('.', ''))
    return f'{server.rstrip("/")}/{page}'


def run_pip(
    python: Path, page: str, seconds: int, *args: str | Path, show: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command of pip that sees the wheels of the index page and nothing else."""
    command = [python, '-m', 'pip', *args, '--only-binary', ':all:', '--disable-pip-version-check']
    command += ['--timeout', str(SILENCE_SECONDS), '--retries', '0', '--no-cache-dir']
    if page.startswith('http://'):
        command += ['--trusted-host', page.split('/')[2]]
    # Not -f, which would add to the places named in pip's configuration; this replaces them.
    env = dict(os.environ, PIP_FIND_LINKS=page, PIP_NO_INDEX='1')
    output = None if show else subprocess.PIPE
    try:
        return subprocess.run(
            command, env=env, timeout=seconds, stdout=output, stderr=output, text=True
        )
    except subprocess.TimeoutExpired:
        raise NoWheelError(f'{page} took more than {seconds} seconds') from None


def download_wheel(python: Path, requirement: str, page: str, folder: Path) -> Path:
    """Download the wheel that fits the interpreter ``python``.

    Raises:
        NoWheelError: If there is none, or the index cannot be reached or is too slow.
    """
    package, version = requirement.split('==')
    found = run_pip(python, page, ASK_SECONDS, 'index', 'versions', package, '-vv')
    error = re.search(r'Could not fetch URL \S+: ([^:]*)', found.stdout + found.stderr)
    if error and not error[1].startswith('404'):
        raise NoWheelError(f'{page} cannot be reached ({error[1]})')
    versions = re.search(r'^Available versions: (.*)$', found.stdout, re.M)
    if not versions or version not in versions[1].split(', '):
        raise NoWheelError(f'{page} has no wheel of {requirement} for this torch, Python and platform')
    download = ['download', '--no-deps', '-d', folder, requirement]
    if run_pip(python, page, DOWNLOAD_SECONDS, *download, show=True).returncode:
        raise NoWheelError(f'the wheel of {page} cannot be downloaded, see above')
    return next(folder.glob('*.whl'))


def install_checked(python: Path, wheel: Path, device: str) -> None:
    """Install a wheel, then import mmcv and compare the result of an operator with the right one.

    Args:
        python: Interpreter of the environment.
        wheel: File of the wheel.
        device: ``'cpu'`` or ``'cuda'``, on which the operator must run.

    Raises:
        NoWheelError: If the wheel does not work. It is not installed then.
    """
    pip = [python, '-m', 'pip', '--disable-pip-version-check']
    if subprocess.run([*pip, 'install', '--no-deps', '--no-index', wheel]).returncode:
        raise NoWheelError(f'{wheel.name} of the index cannot be installed, see above')
    check = subprocess.run([python, '-I', '-c', CHECK, device], capture_output=True, text=True)
    if check.returncode:
        subprocess.run([*pip, 'uninstall', '-y', wheel.name.split('-')[0]])
        reason = (check.stderr.strip().splitlines() or [f'exit code {check.returncode}'])[-1]
        raise NoWheelError(f'{wheel.name} of the index does not work: {reason}')
