# A very small CEDNet and heads on the generated shapes, for the demo: minutes on two CPU cores
_base_ = [
    '../_base_/models/mask_rcnn_nano.py',
    '../_base_/datasets/shapes_instance.py',
    '../_base_/runtime_shapes.py',
    '../_base_/schedules/shapes_short.py',
]

# Objects are 7 to 110 px: anchors are 8 to 90 px
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[2, 2.83], ratios=[1.0])),
    roi_head=dict(bbox_head=dict(num_classes=4), mask_head=dict(num_classes=4)),
)
