# A very small CEDNet on the generated shapes, for the demo: minutes on two CPU cores
_base_ = [
    '../_base_/models/retinanet.py',
    '../_base_/backbones/cednet_nano.py',
    '../_base_/datasets/shapes.py',
    '../_base_/runtime_shapes.py',
    '../_base_/schedules/shapes.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(_delete_=True, **_base_.cednet_nano),
    bbox_head=dict(
        num_classes=4,
        in_channels=48,
        feat_channels=48,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=8),
        anchor_generator=dict(octave_base_scale=2, ratios=[1.0], strides=[4, 8, 16, 32]),
    ),
)
