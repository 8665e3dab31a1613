_base_ = 'cascade_mask_rcnn_4conv1fc.py'

model = dict(
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
