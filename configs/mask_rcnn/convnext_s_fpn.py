# Table 2c: box AP 48.5, mask AP 43.8 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.6,
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth',
        ),
    )
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
