_base_ = ['upernet_heads.py', '../backbones/convnext.py']

model = dict(
    backbone=dict(**_base_.convnext_t, out_indices=(0, 1, 2, 3)),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384, in_index=2),
)
