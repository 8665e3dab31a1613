# A very small CEDNet and heads, for two CPU cores
_base_ = ['upernet_heads.py', '../backbones/cednet_nano.py']

norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(_base_.cednet_nano, pyramid=None, aux_stages=True),
    decode_head=dict(in_channels=[16, 32, 64, 96], channels=48, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=32, channels=32, norm_cfg=norm_cfg),
    test_cfg=dict(_delete_=True, mode='whole'),
)
