# Table 2b: box AP 48.1, cited by the paper: SpineNet's protocol B, from random weights
_base_ = 'spinenet_96.py'

size = (1280, 1280)
train_pipeline = [dict(step, size=size) if 'size' in step else step for step in _base_.train_pipeline]
test_pipeline = [dict(step, scale=size) if 'scale' in step else step for step in _base_.test_pipeline]
model = dict(
    backbone=dict(repeats=3, alpha=1.0),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=4)),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
