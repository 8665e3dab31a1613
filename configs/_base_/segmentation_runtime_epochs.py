# In epochs instead of iterations, for small datasets
_base_ = 'segmentation_runtime.py'

log_processor = dict(by_epoch=True)
default_hooks = dict(
    logger=dict(interval=15, log_metric_by_epoch=True),
    checkpoint=dict(by_epoch=True, interval=1, max_keep_ckpts=1, save_best='mIoU', rule='greater'),
)
auto_scale_lr = dict(base_batch_size=8)
