# Table 3: mIoU 49.0, multi-scale 50.1, cited by the paper from RevCol; its authors slide the window of
# this model farther
_base_ = 'revcol_t.py'

model = dict(
    backbone=_base_.revcol_b,
    decode_head=dict(in_channels=[72, 144, 288, 576]),
    auxiliary_head=dict(in_channels=288),
    test_cfg=dict(stride=(426, 426)),
)
optim_wrapper = dict(optimizer=dict(lr=4e-5), paramwise_cfg=dict(num_layers=22))
