# Table 2d: box AP 51.8, mask AP 44.7, cited by the paper; augmentation of DETR
_base_ = [
    '../_base_/models/cascade_mask_rcnn_swin.py',
    '../_base_/datasets/coco_instance_detr.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
model = dict(backbone=_base_.swin_s)
