# Table 2c: box AP 50.4, mask AP 45.0 in the paper
_base_ = 'cednet_t.py'

model = dict(backbone=_base_.cednet_s)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=9))
