# Table 2b: box AP 49.6 in the paper
_base_ = 'cednet_t.py'

model = dict(backbone=_base_.cednet_s)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=9))
