"""Faults that need no process of their own: a loss that is 0 from the beginning."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmcednet.training.faults import TrainingError


class Model(BaseModel):
    """A model with the losses of a list."""

    def __init__(self, losses):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.losses = iter(losses)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.weight.sum() * 0 + next(self.losses))


def train(losses, folder, resumed=0):
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * len(losses),
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=1,
        num_workers=0,
    )
    runner = Runner(
        Model(losses),
        str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=resumed + len(losses)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='ZeroLossHook', patience=5), dict(type='StopOnSignalHook')],
        default_hooks=dict(checkpoint=None),
        default_scope='mmengine',
        log_level='WARNING',
        experiment_name=folder.name,
    )
    runner.train_loop._iter = resumed
    runner.train()
    return runner.iter


def test_loss_that_is_zero_from_the_beginning(tmp_path):
    with pytest.raises(
        TrainingError, match='the loss was 0 in each of the first 5 iterations, so that'
    ):
        train([0.0] * 9, tmp_path)


@pytest.mark.parametrize('losses', [[0, 0, 0, 0, 0.1, 0, 0, 0, 0, 0], [1, *[0] * 9], [0] * 4])
def test_other_losses(tmp_path, losses):
    assert train(losses, tmp_path) == len(losses)


def test_training_in_a_thread(tmp_path):
    """Python handles signals in the main thread only."""
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(train, [1.0] * 3, tmp_path).result() == 3


def test_resumed_training(tmp_path):
    assert train([0.0] * 9, tmp_path, resumed=7) == 16
