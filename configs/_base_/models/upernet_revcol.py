_base_ = ['upernet_heads.py', '../backbones/revcol.py']

model = dict(
    backbone=_base_.revcol_t,
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256, in_index=2),
)
