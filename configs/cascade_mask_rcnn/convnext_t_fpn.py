# Table 2d: box AP 50.8, mask AP 44.5 in the paper
_base_ = [
    '../_base_/models/cascade_mask_rcnn_convnext.py',
    '../_base_/datasets/coco_instance_lsj_copy_paste.py',
    '../_base_/optimizers/convnext.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(decay_rate=0.7))
