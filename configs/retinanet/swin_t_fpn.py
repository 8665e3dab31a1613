# Table 2b: box AP 45.0, cited by the paper; augmentation of DETR
_base_ = [
    '../_base_/models/retinanet_swin.py',
    '../_base_/datasets/coco_detr.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
