# Table 2c: box AP 48.5, mask AP 43.8 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.6,
        init_cfg=dict(checkpoint=_base_.convnext_weights.small),
    )
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
