# Table 3: mIoU 49.8 in the paper, multi-scale 50.4
_base_ = 'cednet_t.py'

model = dict(backbone=_base_.cednet_s)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=7))
