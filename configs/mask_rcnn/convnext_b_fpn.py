# In no table of the paper, with the recipe of S and RetinaNet's drop path
_base_ = 'convnext_t_fpn.py'

model = dict(backbone=_base_.convnext_b, neck=dict(in_channels=[128, 256, 512, 1024]))
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
