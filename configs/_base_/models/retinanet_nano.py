# A very small CEDNet and head, for two CPU cores
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', '../backbones/cednet_nano.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(_delete_=True, **_base_.cednet_nano),
    neck=None,
    bbox_head=dict(
        in_channels=48,
        feat_channels=48,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=8),
        anchor_generator=dict(strides=[4, 8, 16, 32]),
    ),
)
