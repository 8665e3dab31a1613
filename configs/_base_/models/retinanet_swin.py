_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', '../backbones/swin.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.swin_t, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[192, 384, 768], start_level=0),
)
