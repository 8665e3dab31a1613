# Table 5: box AP 44.9 in the paper, trained there
_base_ = [
    '../_base_/models/retinanet_swin.py',
    '../_base_/datasets/coco_lsj_copy_paste.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
model = dict(data_preprocessor=dict(pad_size_divisor=128))
