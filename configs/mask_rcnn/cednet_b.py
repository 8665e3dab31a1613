# In no table of the paper, with the recipe of S and Cascade Mask R-CNN's drop path
_base_ = 'cednet_t.py'

model = dict(backbone=_base_.cednet_b)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=9))
