import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop

from mmcednet.training import make_fault_tolerant
from mmcednet.training.faults import NonFiniteLossHook


@pytest.fixture
def cfg():
    return Config(
        dict(
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2),
            train_dataloader=dict(
                batch_size=2,
                drop_last=True,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(type='CocoDataset'),
            ),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=3)),
        )
    )


def test_replaces_loop_data_and_hooks(cfg):
    make_fault_tolerant(cfg)
    assert cfg.train_cfg == dict(type='ResumableEpochLoop', max_epochs=2)
    assert cfg.default_hooks.checkpoint == dict(type='SafeCheckpointHook', interval=3)
    loader = cfg.train_dataloader
    assert loader.dataset == dict(type='SeededDataset', dataset=dict(type='CocoDataset'))
    assert loader.batch_sampler == dict(
        type='ResumableBatchSampler',
        sampler_cfg=dict(type='DefaultSampler', shuffle=True),
        batch_sampler_cfg=None,
        drop_last=True,
    )
    assert 'drop_last' not in loader  # which torch refuses beside a batch sampler
    assert [hook.type for hook in cfg.custom_hooks] == [
        'NonFiniteLossHook',
        'ZeroLossHook',
        'UnusableImagesHook',
        'StopOnSignalHook',
    ]


@pytest.mark.parametrize('by_epoch', [True, False])
def test_train_loop_without_type(cfg, by_epoch):
    cfg.train_cfg = dict(by_epoch=by_epoch)
    make_fault_tolerant(cfg)
    assert cfg.train_cfg == dict(type='ResumableEpochLoop' if by_epoch else 'ResumableIterLoop')


def test_types_may_be_classes(cfg):
    """As in mmengine's pure Python configs."""
    cfg.train_cfg.type = EpochBasedTrainLoop
    cfg.default_hooks.checkpoint.type = CheckpointHook
    cfg.custom_hooks = [dict(type=NonFiniteLossHook, patience=3)]
    make_fault_tolerant(cfg)
    assert cfg.train_cfg.type == 'ResumableEpochLoop'
    assert cfg.default_hooks.checkpoint.type == 'SafeCheckpointHook'
    assert len(cfg.custom_hooks) == 4
    assert cfg.custom_hooks[0].patience == 3


def test_settings_of_hooks_stay(cfg):
    cfg.custom_hooks = [dict(type='NonFiniteLossHook', patience=3), dict(type='EMAHook')]
    make_fault_tolerant(cfg)
    assert cfg.custom_hooks[:2] == [dict(type='NonFiniteLossHook', patience=3), dict(type='EMAHook')]
    assert len(cfg.custom_hooks) == 5


def test_leaves_other_loops_and_remote_checkpoints(cfg):
    cfg.train_cfg.type = 'AnotherLoop'
    cfg.default_hooks.checkpoint.out_dir = 's3://bucket'
    data = cfg.train_dataloader.to_dict()
    make_fault_tolerant(cfg)
    assert cfg.train_cfg.type == 'AnotherLoop'
    assert cfg.train_dataloader == data
    assert cfg.default_hooks.checkpoint.type == 'CheckpointHook'


def test_no_checkpoints(cfg):
    cfg.default_hooks.checkpoint = None
    make_fault_tolerant(cfg)
    assert cfg.default_hooks.checkpoint is None
