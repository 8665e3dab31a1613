"""Two nodes, each in a network namespace with an address of its own; one is lost and comes back."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from short_runs import write_config, write_interruption

from mmcednet.data.shapes import draw_dataset

pytestmark = pytest.mark.slow
ADDRESSES = {'node-a': '10.77.0.1', 'node-b': '10.77.0.2'}
PATIENCE = 240  # s; nothing is expected to take so long
TIMEOUT = 20  # s, after which a process that waits for a lost one gives up


def call(*command: object) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, command)], capture_output=True, text=True)


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f'{what} did not happen within {PATIENCE} s'
        time.sleep(0.2)


def is_running(pid: int) -> bool:
    try:
        return 'Z' not in Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return False


class Node:
    """A network namespace, and the training that runs in it."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host = host
        self.name = f'{host}-{os.getpid()}'  # of the namespace; other test processes have theirs
        self.link = f'{host}-link'
        self.log = folder / f'{host}.log'
        self.hosts = folder / 'hosts'
        self.process: subprocess.Popen | None = None

    def start(self, *command: object, **env: object) -> None:
        """Start a command with this node's host name and list of hosts."""
        script = f'hostname {self.host}; mount --bind {self.hosts} /etc/hosts; exec "$@"'
        shell = ['ip', 'netns', 'exec', self.name, 'unshare', '--uts', 'sh', '-c', script, 'sh']
        environment = dict(os.environ, **{key: str(value) for key, value in env.items()})
        with self.log.open('a') as log:
            self.process = subprocess.Popen(
                [*shell, *map(str, command)], stdout=log, stderr=log, env=environment
            )

    def list_processes(self) -> list[int]:
        return [int(pid) for pid in call('ip', 'netns', 'pids', self.name).stdout.split()]

    def kill(self) -> None:
        while pids := self.list_processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.process:
                self.process.wait(PATIENCE)

    def set_link(self, state: str) -> None:
        result = call('ip', '-n', self.name, 'link', 'set', self.link, state)
        assert result.returncode == 0, result.stderr


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Node]]:
    """Two nodes that are connected by a cable."""
    hosts = {**ADDRESSES, 'localhost': '127.0.0.1'}
    (tmp_path / 'hosts').write_text(''.join(f'{hosts[host]} {host}\n' for host in hosts))
    nodes = [Node(host, tmp_path) for host in ADDRESSES]
    made = [call('ip', 'netns', 'add', node.name) for node in nodes] if shutil.which('ip') else []
    try:
        if not made or any(result.returncode for result in made):
            pytest.skip(f'no network namespaces here: {made[0].stderr.strip() if made else "no ip"}')
        first, second = nodes
        pair = ('type', 'veth', 'peer', 'name', second.link, 'netns', second.name)
        result = call('ip', 'link', 'add', first.link, 'netns', first.name, *pair)
        assert result.returncode == 0, result.stderr
        for node in nodes:
            address = f'{ADDRESSES[node.host]}/24'
            call('ip', '-n', node.name, 'address', 'add', address, 'dev', node.link)
            call('ip', '-n', node.name, 'link', 'set', 'lo', 'up')
            node.set_link('up')
        yield nodes
    finally:
        for node in nodes:
            node.kill()
            call('ip', 'netns', 'delete', node.name)


def test_a_node_is_lost_and_comes_back(root, nodes, tmp_path):
    marker, work = tmp_path / 'stopped', tmp_path / 'work'
    data = draw_dataset(tmp_path / 'data', train=8, val=1, size=64, seed=0, single=True)
    stop = write_interruption('Stop', host='node-b', epoch=1, marker=str(marker))
    config = write_config(tmp_path / 'config.py', 'imagenet', data, images=8, epochs=3, more=stop)

    def start(number: int) -> None:
        command = [root / 'tools' / 'dist_train.sh', config, 1, '--work-dir', work]
        options = ['--cfg-options', f'env_cfg.dist_cfg.timeout={TIMEOUT}']
        path = f'{root / "tests"}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
        python = dict(PYTHON=sys.executable, PYTHONPATH=path)
        cluster = dict(NNODES=2, NODE_RANK=number, MASTER_ADDR=ADDRESSES['node-a'], PORT=29500)
        nodes[number].start(*command, *options, MAX_RESTARTS=9, **python, **cluster)

    first, second = nodes
    start(0)
    start(1)
    wait_until(marker.exists, 'the stop in the second epoch')
    (waiting,) = [pid for pid in first.list_processes() if is_training(pid)]
    second.set_link('down')  # first, so that no message of the ending processes arrives
    second.kill()
    wait_until(lambda: not is_running(waiting), 'the end of the process that waits for the lost one')
    assert first.process.poll() is None
    second.set_link('up')
    start(1)
    wait_until(lambda: all(node.process.poll() is not None for node in nodes), 'the end of both')
    logs = first.log.read_text() + second.log.read_text()
    assert [node.process.returncode for node in nodes] == [0, 0], logs[-4000:]
    assert (work / 'epoch_3.pth').is_file()
    for node in nodes:
        assert 'torchrun restarts this training when it fails: as with --resume' in node.log.read_text()
    assert 'resumed epoch: 1, iter: 4' in logs


def is_training(pid: int) -> bool:
    """Whether a process is one that trains, and not torchrun, which starts it."""
    command = Path(f'/proc/{pid}/cmdline').read_text()
    return 'train.py' in command and 'torch.distributed.run' not in command
