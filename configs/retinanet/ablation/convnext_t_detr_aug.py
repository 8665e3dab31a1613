# Table 7: box AP 45.2 in the paper, with the existing augmentation
_base_ = [
    '../../_base_/models/retinanet_convnext.py',
    '../../_base_/datasets/coco_detr.py',
    '../../_base_/optimizers/convnext.py',
    '../../_base_/schedules/3x.py',
    '../../_base_/runtime.py',
]
