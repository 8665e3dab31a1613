# Table 2d: box AP 53.0, mask AP 45.9, cited by the paper from RevCol; augmentation of DETR
_base_ = [
    '../_base_/models/cascade_mask_rcnn_revcol.py',
    '../_base_/datasets/coco_instance_detr.py',
    '../_base_/optimizers/revcol.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(_base_.revcol_b, drop_path_rate=0.4),
    neck=dict(in_channels=[72, 144, 288, 576]),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.9, num_layers=22))
