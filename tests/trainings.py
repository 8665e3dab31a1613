"""Tools in processes that have everything imported already, so that each starts in seconds."""

import multiprocessing
import multiprocessing.connection
import os
import resource
import runpy
import subprocess
import sys
from pathlib import Path

import fast_configs  # noqa: F401
import psutil

PRELOADED = ['mmdet.datasets', 'mmdet.models', 'mmdet.evaluation', 'mmseg.models', 'mmcednet']
context = multiprocessing.get_context('forkserver')
context.set_forkserver_preload(PRELOADED)

# A nano detector on few generated shapes that draws random numbers in the data and in the model
CONFIG = """
_base_ = {base!r}
model = dict(
    backbone=dict(
        arch=dict(channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1)), drop_path_rate=0.3,
        pyramid=dict(channels=16)),
    bbox_head=dict(in_channels=16, feat_channels=16),
    test_cfg=dict(score_thr=0.0))
data = dict(data_root={data!r})
train_dataloader = dict(
    batch_size=2,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='RandomResize', scale=[(64, 48), (64, 96)], keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackDetInputs')], **data))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={data!r} + '/annotations/val.json', metric='proposal')
test_evaluator = val_evaluator
randomness = dict(seed=3)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(save_best='coco/AR@1000', rule='greater'))
"""


def write_config(path: Path, root: Path, data: Path, *parts: str) -> Path:
    """Write the config with further settings."""
    base = root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    path.write_text(CONFIG.format(base=str(base), data=str(data)) + '\n'.join(parts))
    return path


def train(tool: Path, args: list[str], log: Path, memory: int | None) -> None:
    """Run tools/train.py, with ``memory`` bytes more than now at most."""
    if memory is not None:
        limit = psutil.Process().memory_info().vms + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with log.open('a', buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.exit(runpy.run_path(str(tool))['main'](args))


def start_training(
    root: Path, config: Path, work: Path, *args: str, memory: int | None = None
) -> multiprocessing.Process:
    """Start tools/train.py; its output is appended to WORK.log."""
    command = [str(config), '--work-dir', str(work), *args]
    tool = root / 'tools' / 'train.py'
    process = context.Process(target=train, args=(tool, command, work.with_suffix('.log'), memory))
    process.start()
    return process


def run_script(tool: Path, args: list[str], folder: Path, output: Path, env: dict[str, str]) -> None:
    """Run a tool in a folder as Python runs a script; it prints to OUTPUT/stdout and OUTPUT/stderr."""
    for name, descriptor in (('stdout', 1), ('stderr', 2)):
        with (output / name).open('w') as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.argv = [str(tool), *args]
    runpy.run_path(str(tool), run_name='__main__')


def serve(
    tool: Path, args: list[str], folder: Path, outputs: list[Path], env: dict[str, str]
) -> subprocess.CompletedProcess:
    """What ``subprocess.run`` returns for a tool in a folder, in a process for each of ``outputs``.

    Each of these is an empty folder. Several processes have the variables that torchrun sets; if one
    fails, the others are ended.
    """
    processes = []
    for rank, output in enumerate(outputs):
        own = dict(env, RANK=str(rank), LOCAL_RANK=str(rank)) if len(outputs) > 1 else env
        process = context.Process(target=run_script, args=(tool, args, folder, output, own))
        process.start()
        processes.append(process)
    while running := [process for process in processes if process.exitcode is None]:
        multiprocessing.connection.wait([process.sentinel for process in running])
        if any(process.exitcode for process in processes):
            for process in running:
                process.terminate()
    stdout, stderr = (
        ''.join((output / name).read_text() for output in outputs) for name in ('stdout', 'stderr')
    )
    code = next((process.exitcode for process in processes if process.exitcode), 0)
    return subprocess.CompletedProcess([tool, *args], code, stdout, stderr)


def read_log(work: Path) -> str:
    log = work.with_suffix('.log')
    return log.read_text() if log.exists() else ''
