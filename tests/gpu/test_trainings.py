"""tools/train.py and test.py on a GPU: mixed precision, exact resume, NCCL."""

import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist


def run(root, tmp_path, device, *args):
    """Run a command of Python."""
    # the second is what randomness.deterministic needs up to torch 2.9
    env = dict(os.environ, PYTHONPATH=str(root), CUBLAS_WORKSPACE_CONFIG=':4096:8')
    if device.type == 'cpu':
        env['CUDA_VISIBLE_DEVICES'] = ''
    command = [sys.executable, *map(str, args)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture
def settings(shapes):
    """Of the smallest detector, for two epochs of the six generated images."""
    loaders = [f'{name}_dataloader.dataset.data_root={shapes}' for name in ('train', 'val', 'test')]
    evaluators = [
        f'{name}_evaluator.ann_file={shapes}/annotations/val.json' for name in ('val', 'test')
    ]
    fixed = ['train_dataloader.batch_size=2', 'randomness.seed=1', 'randomness.deterministic=True']
    return ['--cfg-options', *loaders, *evaluators, *fixed, 'train_cfg.max_epochs=2']


def test_training_and_test(device, root, tmp_path, settings):
    """With --amp; interrupted after an epoch, it ends with the same weights. Then it predicts."""
    tools, config = root / 'tools', root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    for name, resume in (('whole', []), ('resumed', ['--resume', tmp_path / 'whole' / 'epoch_1.pth'])):
        args = [tools / 'train.py', config, '--amp', '--work-dir', tmp_path / name, *resume, *settings]
        log = run(root, tmp_path, device, *args, 'default_hooks.checkpoint.max_keep_ckpts=2')
        assert 'loss' in log
    whole, resumed = (
        torch.load(tmp_path / name / 'epoch_2.pth', map_location='cpu', weights_only=False)[
            'state_dict'
        ]
        for name in ('whole', 'resumed')
    )
    assert all(value.equal(resumed[name]) for name, value in whole.items())
    options = ['--amp', '--cuda-graph'] if device.type == 'cuda' else []
    args = [tools / 'test.py', config, tmp_path / 'whole' / 'epoch_2.pth', *options, *settings]
    assert 'Epoch(test)' in run(root, tmp_path, device, *args)


def test_one_process_with_nccl(device, root, tmp_path, settings):
    backend = 'nccl' if device.type == 'cuda' else 'gloo'
    if not getattr(dist, f'is_{backend}_available')():
        pytest.skip(f'torch without {backend}')
    config = root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'
    launch = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', 1]
    args = [root / 'tools' / 'train.py', config, '--launcher', 'pytorch', '--amp']
    log = run(root, tmp_path, device, *launch, *args, *settings, f'env_cfg.dist_cfg.backend={backend}')
    assert 'DistributedDataParallel' in log or 'loss' in log
