"""The commands limit torch's threads before they import it; importing the package limits nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmcednet_threads import NUMBERS, are_cores_free, count_cores

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='other systems have no affinity')
ROOT = Path(__file__).resolve().parents[1]
FILES = [*(ROOT / 'tools').rglob('*.py'), *(ROOT / 'benchmarks').glob('*.py')]
COMMANDS = {
    str(path.relative_to(ROOT))
    for path in FILES
    if "if __name__ == '__main__'" in path.read_text(encoding='utf-8')
} - {'tools/setup_env.py', 'tools/mmcv_wheel.py'}  # these do not compute
# Arguments of the commands that print their help without torch
ARGUMENTS = {
    'tools/train.py': ['a.py'],
    'tools/test.py': ['a.py', 'a.pth'],
    'tools/evaluate.py': ['a.py', 'a.pth'],
    'tools/infer.py': ['a.py', 'a.pth', 'a.jpg', '-o', 'out'],
    'tools/web_demo.py': ['a.py', 'a.pth'],
    'tools/export.py': ['a.py', 'a.pth', '-o', 'a.onnx'],
    'tools/new_config.py': ['--data', 'folder', '-o', 'a.py'],
    'tools/use_cednet.py': ['a.py', '-o', 'b.py'],
    'tools/draw_shapes.py': ['folder'],
    'tools/analysis/fusion_time.py': ['a.py'],
    'tools/distill.py': ['--teacher', 'a.pth', '--images', 'folder', '-o', 'b.pth'],
    'tools/model_converters/convnext_to_cednet.py': ['a.pth', '-o', 'b.pth'],
    'tools/model_converters/publish.py': ['a.pth', '-o', 'b.pth'],
    'tools/model_converters/official_cednet.py': ['a.pth', 'b.pth'],
    'tools/model_converters/baselines.py': ['cswin', 'a.pth', 'b.pth'],
    'tools/dataset_converters/split_coco.py': ['a.json'],
    'tools/dataset_converters/split_images.py': ['folder', '-o', 'out'],
    'tools/dataset_converters/fill_supercategories.py': ['a.json', '-o', 'b.json'],
    **{
        f'tools/dataset_converters/{name}.py': ['folder']
        for name in ('labelme_to_coco', 'tiny_imagenet', 'voc_to_coco', 'yolo_to_coco')
    },
}
# What a process sees when it imports torch
TORCH = """
import os
print(*map(os.environ.get, ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OMP_WAIT_POLICY')), flush=True)
os._exit(0)
"""
CPU = min(os.sched_getaffinity(0)) if sys.platform == 'linux' else 0


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run Python in a process of its own on one CPU, and return the words that it prints."""
    for name in (*NUMBERS, 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'):
        monkeypatch.delenv(name, raising=False)

    def call(*args: str | Path, cpus: set[int] | None = None, **env: str) -> list[str]:
        return subprocess.run(
            [sys.executable, *args],
            env={**os.environ, **env},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus or {CPU}),
        ).stdout.split()

    return call


@pytest.fixture
def run_until_torch(tmp_path: Path, run: Callable) -> Callable[..., list[str]]:
    """Run Python until torch is imported, and return what the process's environment is then."""
    (tmp_path / 'torch.py').write_text(TORCH)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    return lambda *args, **settings: run(*args, PYTHONPATH=path, **settings)


@pytest.mark.parametrize('command', sorted(COMMANDS))
def test_commands_limit_threads_before_torch_is_imported(run_until_torch, command):
    args = ARGUMENTS.get(command, ['--help'])
    assert run_until_torch(ROOT / command, *args) == ['1', 'None', 'passive']


def test_the_command_of_the_package_limits_threads(run_until_torch):
    code = 'import mmcednet_cli; mmcednet_cli.main()'
    assert run_until_torch('-c', code, 'train', 'a.py') == ['1', 'None', 'passive']


def test_the_package_limits_nothing(run_until_torch):
    assert run_until_torch('-c', 'import mmcednet') == ['None', 'None', 'None']


@pytest.mark.parametrize(
    'variables, seen',
    [
        (dict(OMP_NUM_THREADS='3'), ['3', 'None', 'passive']),
        (dict(MKL_NUM_THREADS='3'), ['None', '3', 'passive']),
        (dict(OMP_WAIT_POLICY='active'), ['1', 'None', 'active']),
        # of a command with more CPUs, which started this one
        (dict(OMP_NUM_THREADS='3', MMCEDNET_CHOSEN_THREADS='3'), ['1', 'None', 'passive']),
        # by the user, for what such a command starts
        (dict(OMP_NUM_THREADS='3', MMCEDNET_CHOSEN_THREADS='2'), ['3', 'None', 'passive']),
    ],
)
def test_what_the_user_has_set_is_kept(run_until_torch, variables, seen):
    assert run_until_torch(ROOT / 'tools' / 'train.py', 'a.py', **variables) == seen


@pytest.fixture
def busy() -> Iterator[None]:
    """A process computes on the CPU of the tests' processes."""
    code = f'import os; os.sched_setaffinity(0, {{{CPU}}}); print(1, flush=True)\nwhile True: pass'
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield
        process.kill()


def test_cores_of_an_idle_machine_are_free(tmp_path):
    row = 'cpu{} 9 0 9 9 9 0 0 0 0 0\n'
    stat = row.format('') + ''.join(map(row.format, os.sched_getaffinity(0)))
    assert are_cores_free(write_files(tmp_path, {'proc/stat': stat}))
    assert not are_cores_free(write_files(tmp_path, QUOTAS['version 2'][0]))


@pytest.mark.usefixtures('busy')
def test_beside_another_process_threads_do_not_spin(run):
    assert not are_cores_free()
    code = 'from mmcednet_threads import limit_threads; limit_threads(); import os; '
    code += 'print(os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT"))'
    cpus = os.sched_getaffinity(0)
    assert run('-c', code, cpus=cpus, PYTHONPATH=str(ROOT)) == ['passive', 'None']
    words = run('-c', code, cpus=cpus, PYTHONPATH=str(ROOT), GOMP_SPINCOUNT='7')
    assert words == ['passive', '7']


def test_processes_of_torchrun_share_the_cores(run_until_torch):
    cpus = os.sched_getaffinity(0)
    for processes, threads in ((1, count_cores()), (len(cpus), 1), (1000, 1)):
        words = run_until_torch(
            ROOT / 'tools' / 'train.py', 'a.py', cpus=cpus, LOCAL_WORLD_SIZE=str(processes)
        )
        assert words == [str(threads), 'None', 'passive']


def test_torch_has_the_limited_number_of_threads(run):
    code = 'from mmcednet_threads import limit_threads; limit_threads(); import torch; '
    assert run('-c', f'{code}print(torch.get_num_threads())', PYTHONPATH=str(ROOT)) == ['1']


def write_files(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


QUOTAS = {
    'none': ({}, 8),
    'version 2': ({'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '200000 100000\n'}, 2),
    'version 2, no quota': ({'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n'}, 8),
    'more than there are cores': (
        {'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '3200000 100000\n'},
        8,
    ),
    'part of a core': ({'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '50000 100000\n'}, 1),
    'the smallest of nested cgroups': (
        {
            'proc/self/cgroup': '0::/user.slice/job\n',
            'sys/fs/cgroup/user.slice/cpu.max': '250000 100000\n',
            'sys/fs/cgroup/user.slice/job/cpu.max': '500000 100000\n',
        },
        3,
    ),
    'version 1, in a container that lists its path on the host': (
        {
            'proc/self/cgroup': '7:cpuset:/docker/a\n4:cpu,cpuacct:/docker/a\n0::/\n',
            'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '400000\n',
            'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
        },
        4,
    ),
    'version 1, no quota': (
        {
            'proc/self/cgroup': '4:cpu:/job\n',
            'sys/fs/cgroup/cpu/job/cpu.cfs_quota_us': '-1\n',
            'sys/fs/cgroup/cpu/job/cpu.cfs_period_us': '100000\n',
        },
        8,
    ),
}


@pytest.mark.parametrize('case', QUOTAS)
def test_cores_of_a_quota(tmp_path, monkeypatch, case):
    files, cores = QUOTAS[case]
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(8)))
    assert count_cores(write_files(tmp_path, files)) == cores


def test_hardware_threads_of_a_core_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 1, 4})
    name = 'sys/devices/system/cpu/cpu{}/topology/thread_siblings_list'
    files = {name.format(cpu): f'{cpu % 4},{cpu % 4 + 4}\n' for cpu in range(8)}
    assert count_cores(write_files(tmp_path, files)) == 2


def test_a_real_quota(run):
    cgroup = Path('/sys/fs/cgroup/cpu') / f'mmcednet-{os.getpid()}'
    code = 'from mmcednet_threads import count_cores; print(count_cores())'
    enter = f'open("{cgroup}/cgroup.procs", "w").write("0"); {code}'
    try:
        cgroup.mkdir()
    except OSError:
        pytest.skip('creating a cgroup of version 1 needs root and its controller')
    try:
        (cgroup / 'cpu.cfs_quota_us').write_text('100000')
        cpus = os.sched_getaffinity(0)
        assert run('-c', enter, cpus=cpus, PYTHONPATH=str(ROOT)) == ['1']
        (cgroup / 'cpu.cfs_quota_us').write_text('-1')
        words = run('-c', enter, cpus=cpus, PYTHONPATH=str(ROOT))
        assert words == [str(count_cores())]
    finally:
        cgroup.rmdir()
