# Not in the paper's tables; the recipe is
_base_ = 'convnext_t_fpn.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.7,
        init_cfg=dict(checkpoint=_base_.convnext_weights.base),
    ),
    neck=dict(in_channels=[256, 512, 1024]),
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
