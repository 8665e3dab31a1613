"""Training with FSDP in two processes, as with DDP; its checkpoint in other commands."""

import json

import numpy as np
import pytest
import torch

from mmcednet.checkpoints.safe_loading import load_from_file
from mmcednet.requirements import parse_release

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        parse_release(torch.__version__) < (2, 10) and not torch.cuda.is_available(),
        reason='FSDP on CPUs is tested with the locked torch, 2.10, only',
    ),
]
MORE = """
optim_wrapper = dict(
    type='OptimWrapper', constructor='LayerDecayOptimWrapperConstructor', clip_grad=dict(max_norm=5),
    paramwise_cfg=dict(
        _delete_=True, decay_type='coarse', decay_rate=0.95, num_layers=4, head_weight_decay=1e-4))
train_dataloader = dict(batch_size=1)
param_scheduler = []
randomness = dict(seed=0)
log_processor = dict(window_size=1)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(save_best=None))
"""
FLIP = 'train_dataloader.dataset.pipeline.2.prob=0.0'


def train(run_in_two, config, work, epochs, *args):
    options = [f'train_cfg.max_epochs={epochs}', 'train_cfg.val_interval=9']
    run_in_two('train.py', config, '--work-dir', work, *args, '--cfg-options', FLIP, *options)


def read_history(work):
    """Loss, norm of the gradients and learning rate of each step."""
    entries = []
    for log in sorted(work.glob('*/vis_data/scalars.json')):
        entries += [json.loads(line) for line in log.read_text().splitlines()]
    return np.array(
        [[entry[key] for key in ('loss', 'grad_norm', 'lr')] for entry in entries if 'loss' in entry]
    )


def read_ap(result):
    lines = [line for line in result.stdout.splitlines() if 'bbox_mAP:' in line]
    return [line.partition('bbox_mAP:')[2].partition('data_time')[0] for line in lines]


def test_fsdp_has_the_losses_of_ddp(run_tool, run_in_two, root, config, tmp_path):
    """Layer-wise learning rates, no weight decay for vectors, clipped gradients, and a resumed run."""
    whole, sharded = tmp_path / 'whole.py', tmp_path / 'sharded.py'
    whole.write_text(f'_base_ = {str(config)!r}\n{MORE}')
    sharded.write_text(f'_base_ = {[str(config), str(root / "configs/_base_/fsdp.py")]!r}\n{MORE}')

    train(run_in_two, whole, tmp_path / 'ddp', 4)
    train(run_in_two, sharded, tmp_path / 'fsdp', 2)
    train(run_in_two, sharded, tmp_path / 'fsdp', 4, '--resume')
    expected, found = read_history(tmp_path / 'ddp'), read_history(tmp_path / 'fsdp')
    assert len(expected) == 12
    np.testing.assert_allclose(found, expected, rtol=1e-4)

    checkpoint = tmp_path / 'fsdp' / 'epoch_4.pth'
    state = load_from_file(checkpoint)['optimizer']['state']
    assert all(isinstance(key, str) for key in state)  # as FSDP has it, not by number as DDP
    ordinary = run_tool('test.py', whole, checkpoint, '--work-dir', tmp_path / 'test')
    by_two = run_in_two('test.py', sharded, checkpoint, '--work-dir', tmp_path / 'test')
    assert read_ap(ordinary) == read_ap(by_two) != []
