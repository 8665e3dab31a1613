# A very small CEDNet and heads on the generated shapes, for the demo: minutes on two CPU cores
_base_ = [
    '../_base_/models/upernet.py',
    '../_base_/backbones/cednet_nano.py',
    '../_base_/datasets/shapes_segmentation.py',
    '../_base_/segmentation_runtime_shapes.py',
    '../_base_/schedules/shapes.py',
]

norm_cfg = dict(type='BN')
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(_base_.cednet_nano, pyramid=None, aux_stages=True, _delete_=True),
    decode_head=dict(in_channels=[16, 32, 64, 96], channels=48, num_classes=5, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=32, channels=32, num_classes=5, norm_cfg=norm_cfg),
    test_cfg=dict(_delete_=True, mode='whole'),
)
epochs = 7
train_cfg = dict(max_epochs=epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=epochs, T_max=epochs),
]
