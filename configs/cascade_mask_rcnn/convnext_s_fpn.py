# Table 2d: box AP 51.9, mask AP 45.4 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.6,
        init_cfg=dict(checkpoint=_base_.convnext_weights.small),
    )
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
