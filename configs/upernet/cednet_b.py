# Table 3: mIoU 49.9 in the paper, multi-scale 51.0
_base_ = 'cednet_t.py'

model = dict(
    backbone=_base_.cednet_b,
    decode_head=dict(in_channels=[128, 256, 448, 704]),
    auxiliary_head=dict(in_channels=256),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=7))
