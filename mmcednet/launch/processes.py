"""The process group of a run of several processes."""

import datetime
import gc
import os
from typing import Any

import torch
from mmengine.config import Config

# Launcher -> a variable that mmengine needs of it, and what sets it
VARIABLES = {
    'slurm': ('SLURM_PROCID', 'srun'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'mpirun of Open MPI'),
}


def init_process_group(cfg: Config) -> None:
    """Initialize the process group of CPU-only torchrun jobs; check that others have been started.

    mmengine's own initialization requires GPUs. As there, ``env_cfg.dist_cfg.timeout`` is the time in s
    after which a process stops that waits for another one; default: 1800, torch's for gloo.

    Raises:
        ValueError: The launcher has not started this process.
    """
    variable, command = VARIABLES.get(cfg.launcher, (None, None))
    if variable and variable not in os.environ:
        raise ValueError(f'--launcher {cfg.launcher} needs {variable}, which {command} sets')
    if cfg.launcher == 'mpi':  # mmengine sets the process's GPU by this, but not what DDP takes it from
        os.environ['LOCAL_RANK'] = os.environ['OMPI_COMM_WORLD_LOCAL_RANK']
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        settings: dict[str, Any] = {}
        timeout = ((cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('timeout')
        if timeout is not None:
            settings['timeout'] = datetime.timedelta(seconds=timeout)
        torch.distributed.init_process_group('gloo', **settings)


def is_restartable() -> bool:
    """Whether torchrun starts these workers again when one fails.

    Then the first start must do what a restart does, for two reasons. A node that comes back counts its
    own restarts only, but all nodes must start from the same checkpoint. And a first start that was
    refused would be followed by a restart.
    """
    return int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', 0)) > 0


def destroy_process_group() -> None:
    """Destroy the process group, if any; call it when nothing refers to the runner any more.

    Without this some processes abort at exit: threads of the process group that are still there ask for
    the interpreter while it ends.
    """
    if torch.distributed.is_initialized():
        gc.collect()  # the runner and its model, which refer to the group
        torch.distributed.destroy_process_group()
