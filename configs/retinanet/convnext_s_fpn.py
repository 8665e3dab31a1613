# Table 2b: box AP 47.4 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(backbone=_base_.convnext_s)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
