# Not in the paper's tables; the recipe of S, the drop path of RetinaNet's B
_base_ = 'convnext_s.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.7,
        init_cfg=dict(checkpoint=_base_.convnext_weights.base),
    ),
    neck=dict(in_channels=[256, 512, 1024]),
)
