"""Adds to a config what makes its training tolerate faults, and resume exactly."""

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmcednet.config_files import get_type

LOOPS = {'EpochBasedTrainLoop': 'ResumableEpochLoop', 'IterBasedTrainLoop': 'ResumableIterLoop'}
HOOKS = ('NonFiniteLossHook', 'ZeroLossHook', 'UnusableImagesHook', 'StopOnSignalHook')


def make_fault_tolerant(cfg: Config) -> None:
    """Use the data loading, train loop and hooks of this subpackage in a config of any toolbox.

    Hooks that the config has already keep their settings. A train loop other than mmengine's two, and a
    checkpoint hook for remote files, stay as they are.
    """
    hooks = cfg.setdefault('custom_hooks', [])
    present = {get_type(hook) for hook in hooks or ()}
    cfg.custom_hooks = [*(hooks or ()), *(dict(type=name) for name in HOOKS if name not in present)]
    use_safe_checkpoints(cfg)
    loop = cfg.train_cfg
    kind = get_type(loop)
    if not kind:
        kind = 'EpochBasedTrainLoop' if loop.pop('by_epoch', True) else 'IterBasedTrainLoop'
    if kind not in LOOPS:
        print_log(f'The train loop {kind} does not resume exactly', 'current')
        return
    loop.type = LOOPS[kind]
    use_seeded_data(cfg.train_dataloader)


def use_safe_checkpoints(cfg: Config) -> None:
    """Use the checkpoint hook that removes nothing before its successor is written."""
    hook = cfg.setdefault('default_hooks', ConfigDict()).get('checkpoint', dict(type='CheckpointHook'))
    remote = hook and (hook.get('backend_args') or hook.get('file_client_args') or hook.get('out_dir'))
    if hook and get_type(hook) == 'CheckpointHook' and not remote:
        cfg.default_hooks.checkpoint = dict(hook, type='SafeCheckpointHook')


def use_seeded_data(loader: ConfigDict) -> None:
    """Make the samples and batches of a data loader depend on the seed and their position only."""
    loader.dataset = dict(type='SeededDataset', dataset=loader.dataset)
    loader.batch_sampler = dict(
        type='ResumableBatchSampler',
        sampler_cfg=loader.sampler,
        batch_sampler_cfg=loader.get('batch_sampler'),
        drop_last=loader.pop('drop_last', False),
    )
