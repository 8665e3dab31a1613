# Table 3: mIoU 49.0, multi-scale 50.5, cited by the paper; its authors follow Swin's segmenters
_base_ = 'focal_t.py'

model = dict(
    backbone=_base_.focal_b,
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
