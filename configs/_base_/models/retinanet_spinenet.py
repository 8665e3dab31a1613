# SpineNet-96; P3 to P7 go directly into a head with BatchNorm of its own for each level. Losses and
# matching are those of SpineNet's TensorFlow code: SmoothL1Loss is its Huber loss of delta 0.1 with
# weight 50 for the mean over a box's four values
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, type='SpineNet', repeats=2, alpha=0.5),
    neck=None,
    bbox_head=dict(
        type='RetinaSepBNHead',
        num_ins=5,
        norm_cfg=dict(type='BN', momentum=0.01, eps=1e-3),
        anchor_generator=dict(octave_base_scale=3),
        loss_cls=dict(gamma=1.5),
        loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=0.1, loss_weight=1.25),
    ),
    train_cfg=dict(assigner=dict(neg_iou_thr=0.5)),
)
