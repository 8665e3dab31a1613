# Table 2a: box AP 49.0 in the paper
_base_ = 'convnext_t.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.6,
        init_cfg=dict(checkpoint=_base_.convnext_weights.small),
    )
)
