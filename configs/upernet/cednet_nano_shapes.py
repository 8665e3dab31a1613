# A very small CEDNet and heads on the generated shapes, for the demo: minutes on two CPU cores
_base_ = [
    '../_base_/models/upernet_nano.py',
    '../_base_/datasets/shapes_segmentation.py',
    '../_base_/segmentation_runtime_epochs.py',
    '../_base_/schedules/shapes.py',
]

model = dict(
    data_preprocessor=dict(size=(96, 96)),
    decode_head=dict(num_classes=5),
    auxiliary_head=dict(num_classes=5),
)
epochs = 6
train_cfg = dict(max_epochs=epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=epochs, T_max=epochs),
]
