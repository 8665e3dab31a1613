# In no table of the paper, with the recipe of S and RetinaNet's drop path
_base_ = 'convnext_t.py'

model = dict(backbone=_base_.convnext_b, neck=dict(in_channels=[256, 512, 1024]))
