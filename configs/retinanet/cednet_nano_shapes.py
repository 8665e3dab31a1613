# A very small CEDNet on the generated shapes, for the demo: minutes on two CPU cores
_base_ = [
    '../_base_/models/retinanet.py',
    '../_base_/datasets/shapes.py',
    '../_base_/runtime.py',
    '../_base_/schedules/shapes.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        arch=dict(_delete_=True, channels=(16, 32, 64, 96), blocks=(1, 1, 2, 1), num_stages=2),
        pyramid=dict(levels=(2, 3, 4, 5), channels=48),
        drop_path_rate=0.0,
        layer_scale=1.0,
    ),
    bbox_head=dict(
        num_classes=4,
        in_channels=48,
        feat_channels=48,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=8),
        anchor_generator=dict(octave_base_scale=2, ratios=[1.0], strides=[4, 8, 16, 32]),
    ),
)
default_hooks = dict(
    logger=dict(interval=15),
    checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP', rule='greater'),
)
auto_scale_lr = dict(base_batch_size=4)
