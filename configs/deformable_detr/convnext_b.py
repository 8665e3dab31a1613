# Not in the paper's tables; the recipe of S, the drop path of RetinaNet's B
_base_ = 'convnext_s.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.7,
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-base_3rdparty_32xb128-noema_in1k_20220301-2a0ee547.pth',
        ),
    ),
    neck=dict(in_channels=[256, 512, 1024]),
)
