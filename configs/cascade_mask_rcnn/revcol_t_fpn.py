# Table 2d: box AP 50.6, mask AP 43.8, cited by the paper from RevCol; augmentation of DETR
_base_ = [
    '../_base_/models/cascade_mask_rcnn_revcol.py',
    '../_base_/datasets/coco_instance_detr.py',
    '../_base_/optimizers/revcol.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
