# Table 2d: box AP 52.7, mask AP 45.6, cited by the paper from ConvNeXt; augmentation of DETR
_base_ = [
    '../_base_/models/cascade_mask_rcnn_convnext.py',
    '../_base_/datasets/coco_instance_detr.py',
    '../_base_/optimizers/convnext_cited.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=_base_.convnext_b,
    neck=dict(in_channels=[128, 256, 512, 1024]),
    train_cfg=dict(rpn=dict(allowed_border=0)),
)
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(decay_rate=0.8, num_layers=12))
