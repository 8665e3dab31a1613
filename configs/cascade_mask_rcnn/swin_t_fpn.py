# Table 2d: box AP 50.5, mask AP 43.7, cited by the paper; augmentation of DETR
_base_ = [
    '../_base_/models/cascade_mask_rcnn_swin.py',
    '../_base_/datasets/coco_instance_detr.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
