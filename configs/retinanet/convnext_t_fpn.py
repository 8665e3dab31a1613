# Tables 1, 2b, 5, 7: box AP 45.4 in the paper
_base_ = [
    '../_base_/models/retinanet_convnext.py',
    '../_base_/datasets/coco_lsj_copy_paste.py',
    '../_base_/optimizers/convnext.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
