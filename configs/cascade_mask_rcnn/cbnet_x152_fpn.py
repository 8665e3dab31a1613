# Table 2d: box AP 50.7, mask AP 43.3, cited by the paper, on test-dev: CBNet of three backbones. The
# recipe is that of two, the only one published. There, only the last stage has a mask head; here, each.
_base_ = [
    'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py',
    'mmdet::common/ms-poly-90k_coco-instance.py',
    '../_base_/backbones/cbnet.py',
]
custom_imports = dict(imports=['mmcednet'])

roi_extractor = dict(roi_layer=dict(sampling_ratio=2))
model = dict(
    backbone=dict(_delete_=True, **_base_.cbnet_x152),
    roi_head=dict(bbox_roi_extractor=roi_extractor, mask_roi_extractor=roi_extractor),
)

train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomChoiceResize',
    scales=[(1333, short_side) for short_side in range(640, 801, 32)],
    keep_ratio=True,
)
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
auto_scale_lr = dict(base_batch_size=8)  # 8 GPUs x 1 image

optim_wrapper = dict(
    optimizer=dict(lr=0.005),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0),  # as in Caffe
)
train_cfg = dict(max_iters=260000, val_interval=20000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 3, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR', by_epoch=False, begin=0, end=260000, milestones=[200000, 240000], gamma=0.1
    ),
]
default_hooks = dict(checkpoint=dict(interval=20000))
