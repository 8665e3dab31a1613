# Table 2c: box AP 49.2, mask AP 44.1 in the paper
_base_ = [
    '../_base_/models/mask_rcnn.py',
    '../_base_/datasets/coco_instance_lsj_copy_paste.py',
    '../_base_/optimizers/cednet.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
