# Table 1: box AP 46.6 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(
    neck=dict(
        _delete_=True,
        type='NASFPN',
        in_channels=[192, 384, 768],
        out_channels=256,
        num_outs=5,
        stack_times=3,
        norm_cfg=dict(type='BN', requires_grad=True),
    )
)
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
