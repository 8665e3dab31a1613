# Table 2c: box AP 48.5, mask AP 43.8 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(backbone=_base_.convnext_s)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
