# A very small CEDNet that learns the generated shapes in two minutes on two CPU cores:
# python tools/draw_shapes.py data/shapes-single --single --size 64
_base_ = [
    '../_base_/models/classifier_nano.py',
    '../_base_/classification_runtime.py',
    '../_base_/nano_classification.py',
]

model = dict(head=dict(num_classes=4))
auto_scale_lr = dict(base_batch_size=16)
