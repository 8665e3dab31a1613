# Table 3: mIoU 45.5, multi-scale 47.0, cited by the paper; its authors follow Swin's segmenters
_base_ = [
    '../_base_/models/upernet_focal.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/160k.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(test_cfg=dict(_delete_=True, mode='whole'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=6e-5, weight_decay=0.01))
