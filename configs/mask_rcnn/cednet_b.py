# Not in the paper's tables; recipe of S, drop path of Cascade Mask R-CNN
_base_ = 'cednet_t.py'

model = dict(backbone=_base_.cednet_b)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=9))
