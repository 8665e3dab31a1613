# Tables 4, 6: box AP 43.3 in the paper
_base_ = [
    '../../_base_/models/retinanet.py',
    '../../_base_/datasets/coco_lsj_copy_paste.py',
    '../../_base_/optimizers/cednet.py',
    '../../_base_/schedules/1x.py',
    '../../_base_/runtime.py',
]
