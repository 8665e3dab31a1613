# Not in the paper's tables; recipe of S, drop path of RetinaNet
_base_ = 'convnext_t_fpn.py'

model = dict(backbone=_base_.convnext_b, neck=dict(in_channels=[128, 256, 512, 1024]))
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
