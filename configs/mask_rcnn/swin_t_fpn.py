# Table 2c: box AP 46.0, mask AP 41.6, cited by the paper; augmentation of DETR
_base_ = [
    '../_base_/models/mask_rcnn_swin.py',
    '../_base_/datasets/coco_instance_detr.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
