"""Threads of the commands: how many torch may use, and how they wait.

Outside of the package, whose import imports torch: OpenMP reads these settings when torch is imported.
"""

import math
import os
import time
from pathlib import Path, PurePosixPath

# Variables that a user sets to choose the number of threads
NUMBERS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')
# The OMP_NUM_THREADS that a command has chosen, for itself and what it starts; tells it from a user's
CHOSEN = 'MMCEDNET_CHOSEN_THREADS'
# How often a thread looks for work before it sleeps, where no other process needs its core: about a
# millisecond, a tenth of libgomp's own; longer ones gain nothing, see docs/performance.md
SPINS = 30_000
SAMPLE = 0.1  # s in which the load of the cores is measured


def limit_threads() -> None:
    """Let this process, before it imports torch, and those that it starts share the CPUs with others.

    Threads that wait sleep, on an idle machine after about a millisecond: where another process holds a
    core, each operator would wait for threads that spin.
    There is one thread per core that the process may use, divided by the processes that torchrun has
    started on this machine. Variables that the user has set are kept.
    """
    waiting = {'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'} & os.environ.keys()
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
    if not hasattr(os, 'sched_getaffinity'):  # which only Linux has
        return
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    cores = count_cores()
    if not waiting and 1 == processes < cores and are_cores_free():
        os.environ['GOMP_SPINCOUNT'] = str(SPINS)
    if has_chosen() or not any(name in os.environ for name in NUMBERS):
        os.environ['OMP_NUM_THREADS'] = os.environ[CHOSEN] = str(max(1, cores // processes))


def has_chosen() -> bool:
    """Whether a command has chosen the number of threads, and not the user or, in a library, torch."""
    return CHOSEN in os.environ and os.environ.get('OMP_NUM_THREADS') == os.environ[CHOSEN]


def count_cores(root: Path = Path('/')) -> int:
    """Count the cores that this process may use, by its affinity and the CPU quota of its cgroups.

    Args:
        root: Folder with proc/ and sys/. Default: '/'. Only Linux has them: elsewhere all are counted.
    """
    if not hasattr(os, 'sched_getaffinity'):
        return os.cpu_count() or 1
    topology = root / 'sys' / 'devices' / 'system' / 'cpu'
    siblings = [
        topology / f'cpu{cpu}' / 'topology' / 'thread_siblings_list' for cpu in os.sched_getaffinity(0)
    ]
    # hardware threads of one core count once, as in torch's own default
    cores = {path.read_text() if path.is_file() else str(path) for path in siblings}
    return math.ceil(min(len(cores), *read_quotas(root)))


def are_cores_free(root: Path = Path('/')) -> bool:
    """Whether other processes leave the CPUs of this one alone now, and no quota counts its spinning.

    Args:
        root: Folder with proc/ and sys/. Default: '/'.
    """
    if min(read_quotas(root), default=math.inf) < math.inf:
        return False
    before = read_busy_time(root)
    time.sleep(SAMPLE)
    return read_busy_time(root) - before < SAMPLE / 4


def read_busy_time(root: Path) -> float:
    """Read how long the CPUs that this process may use have not been idle, in s, since the start.

    Args:
        root: Folder with proc/.
    """
    names = {f'cpu{cpu}' for cpu in os.sched_getaffinity(0)}
    rows = map(str.split, (root / 'proc' / 'stat').read_text().splitlines())
    # user, nice, system, idle, waiting for a disk, interrupts (2), taken by other virtual machines
    times = [list(map(int, row[1:9])) for row in rows if row and row[0] in names]
    return sum(sum(cpu) - cpu[3] - cpu[4] for cpu in times) / os.sysconf('SC_CLK_TCK')


def read_quotas(root: Path) -> list[float]:
    """Read the CPU quotas of this process's cgroups, version 1 or 2, and of those that contain them.

    Args:
        root: Folder with proc/ and sys/.

    Returns:
        CPUs; infinity for each cgroup without a quota.
    """
    quotas = [math.inf]
    listing = root / 'proc' / 'self' / 'cgroup'
    for line in listing.read_text().splitlines() if listing.is_file() else []:
        _, controllers, path = line.split(':', 2)
        if controllers and 'cpu' not in controllers.split(','):
            continue
        mount = root / 'sys' / 'fs' / 'cgroup' / ('cpu' if controllers else '')
        # a container has its own cgroup at the mount point, whatever path is listed
        group = PurePosixPath(path.lstrip('/'))
        quotas += [read_quota(mount / folder) for folder in (group, *group.parents)]
    return quotas


def read_quota(cgroup: Path) -> float:
    """Read the CPU quota of a cgroup's folder: CPUs, or infinity without one."""
    if (cgroup / 'cpu.max').is_file():
        quota, period = (cgroup / 'cpu.max').read_text().split()
    elif (cgroup / 'cpu.cfs_quota_us').is_file():
        quota = (cgroup / 'cpu.cfs_quota_us').read_text().strip()
        period = (cgroup / 'cpu.cfs_period_us').read_text()
    else:
        return math.inf
    return math.inf if quota in ('max', '-1') else int(quota) / int(period)
