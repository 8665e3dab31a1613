_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['mmcednet'])
default_hooks = dict(
    logger=dict(interval=15),
    checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP', rule='greater'),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
