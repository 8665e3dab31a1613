# Table 3: mIoU 47.4, multi-scale 47.6, cited by the paper from RevCol; one learning rate for all layers
_base_ = [
    '../_base_/models/upernet_revcol.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/optimizers/revcol.py',
    '../_base_/schedules/160k.py',
    '../_base_/segmentation_runtime.py',
]
optim_wrapper = dict(optimizer=dict(lr=6e-5, weight_decay=0.01), paramwise_cfg=dict(decay_rate=1.0))
