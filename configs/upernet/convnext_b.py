# Table 3: mIoU 49.1 in the paper, multi-scale 49.9
_base_ = 'convnext_t.py'

model = dict(
    backbone=dict(_base_.convnext_b, drop_path_rate=0.4),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
