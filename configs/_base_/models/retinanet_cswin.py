_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, type='CSWin', drop_path_rate=0.1, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[128, 256, 512], start_level=0),
)
