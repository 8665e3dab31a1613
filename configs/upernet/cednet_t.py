# Table 3: mIoU 48.3 in the paper, multi-scale 48.9 (tools/test.py --tta)
_base_ = [
    '../_base_/models/upernet.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/optimizers/cednet.py',
    '../_base_/schedules/160k.py',
    '../_base_/segmentation_runtime.py',
]
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.9, head_weight_decay=None))
