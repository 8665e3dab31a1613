# Table 2d: box AP 52.5, mask AP 45.9 in the paper
_base_ = [
    '../_base_/models/cascade_mask_rcnn.py',
    '../_base_/datasets/coco_instance_lsj_copy_paste.py',
    '../_base_/optimizers/cednet.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(decay_rate=0.6))
