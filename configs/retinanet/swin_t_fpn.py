# Tables 2b, 5: box AP 45.0 in the paper
_base_ = [
    '../_base_/models/retinanet_swin.py',
    '../_base_/datasets/coco_lsj_copy_paste.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
