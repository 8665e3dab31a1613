# Not in the paper's tables; recipe of S, drop path of RetinaNet
_base_ = 'convnext_t.py'

model = dict(backbone=_base_.convnext_b, neck=dict(in_channels=[256, 512, 1024]))
