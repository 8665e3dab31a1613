# Table 7: box AP 47.0 in the paper, with the existing augmentation
_base_ = [
    '../../_base_/models/retinanet.py',
    '../../_base_/datasets/coco_detr.py',
    '../../_base_/optimizers/cednet.py',
    '../../_base_/schedules/3x.py',
    '../../_base_/runtime.py',
]
