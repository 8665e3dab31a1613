_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(
        _delete_=True,
        type='CEDNet',
        arch='tiny',
        pyramid=dict(levels=(2, 3, 4, 5, 6), channels=256),
        drop_path_rate=0.2,
        layer_scale=1e-6,
    ),
    neck=None,
)
