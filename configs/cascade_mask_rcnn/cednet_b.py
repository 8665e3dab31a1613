# Table 2d: box AP 53.6, mask AP 46.9 in the paper
_base_ = 'cednet_t.py'

model = dict(backbone=_base_.cednet_b)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', decay_rate=0.7, num_layers=9))
