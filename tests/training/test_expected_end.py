"""When a training says that it will end."""

import re
from datetime import datetime, timedelta

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmcednet.training.expected_end import describe_end


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.weight.sum())


@pytest.mark.parametrize(
    ('train_cfg', 'resumed'),
    [
        (dict(by_epoch=True, max_epochs=3), 0),
        (dict(by_epoch=False, max_iters=30), 0),
        (dict(by_epoch=False, max_iters=30), 9),
    ],
)
def test_said_once_after_the_first_iterations(tmp_path, capsys, train_cfg, resumed):
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 10,
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=1,
        num_workers=0,
    )
    runner = Runner(
        Model(),
        str(tmp_path),
        train_dataloader=loader,
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='ExpectedEndHook', iterations=4)],
        default_hooks=dict(checkpoint=None),
        default_scope='mmengine',
        experiment_name=f'{tmp_path.name}{resumed}',
    )
    runner.train_loop._iter = resumed
    runner.train()
    lines = [line for line in capsys.readouterr().out.splitlines() if 'are left' in line]
    assert len(lines) == 1
    # the first iteration and the four that are timed
    assert f'the {30 - resumed - 5} that are left' in lines[0]


def test_the_end_is_a_time_of_the_day():
    before = datetime.now().astimezone().replace(second=0, microsecond=0)
    text = describe_end(2.0, 5400)
    assert 'An iteration takes 2 s: the 5400 that are left' in text and 'in 3:00:00 h' in text
    said = datetime.strptime(re.search(r'\d+-\d+-\d+ \d+:\d+', text)[0], '%Y-%m-%d %H:%M')
    expected = before.replace(tzinfo=None) + timedelta(hours=3)
    assert expected <= said <= expected + timedelta(minutes=2)
