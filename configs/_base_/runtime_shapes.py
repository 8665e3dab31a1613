_base_ = 'runtime.py'

default_hooks = dict(
    logger=dict(interval=15),
    checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP', rule='greater'),
)
auto_scale_lr = dict(base_batch_size=4)
