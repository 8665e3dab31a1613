# Table 2d: box AP 51.9, mask AP 45.4 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(backbone=_base_.convnext_s)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
