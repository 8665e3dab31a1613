# Table 1: box AP 45.7 in the paper
_base_ = [
    '../_base_/models/retinanet_hrnet.py',
    '../_base_/datasets/coco_lsj_copy_paste.py',
    '../_base_/optimizers/adamw.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
