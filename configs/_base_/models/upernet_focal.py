_base_ = ['upernet_heads.py', '../backbones/focal_transformer.py']

model = dict(
    backbone=_base_.focal_t,
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384, in_index=2),
)
