# Table 5: box AP 41.7 in the paper
_base_ = [
    '../_base_/models/retinanet_r50.py',
    '../_base_/datasets/coco_lsj_copy_paste.py',
    '../_base_/optimizers/adamw.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
