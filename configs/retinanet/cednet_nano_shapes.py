# A very small CEDNet on the generated shapes, for the demo: minutes on two CPU cores
_base_ = [
    '../_base_/models/retinanet_nano.py',
    '../_base_/datasets/shapes.py',
    '../_base_/runtime_shapes.py',
    '../_base_/schedules/shapes.py',
]

model = dict(
    bbox_head=dict(num_classes=4, anchor_generator=dict(octave_base_scale=2, ratios=[1.0])),
)
