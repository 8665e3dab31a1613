# Table 3: mIoU 48.7 in the paper, multi-scale 49.6
_base_ = 'convnext_t.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=_base_.convnext_weights.small),
    )
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
