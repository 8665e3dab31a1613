# Table 5: box AP 48.0 in the paper, trained there
_base_ = [
    '../_base_/models/retinanet_cswin.py',
    '../_base_/datasets/coco_lsj_copy_paste.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
