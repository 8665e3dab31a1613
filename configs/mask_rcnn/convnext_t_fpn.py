# Table 2c: box AP 46.4, mask AP 42.3 in the paper
_base_ = [
    '../_base_/models/mask_rcnn_convnext.py',
    '../_base_/datasets/coco_instance_lsj_copy_paste.py',
    '../_base_/optimizers/convnext.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
