# Not in the paper's tables; recipe of S
_base_ = 'cednet_t.py'

model = dict(backbone=dict(_base_.cednet_b, drop_path_rate=0.3))
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=9))
