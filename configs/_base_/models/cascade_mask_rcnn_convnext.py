_base_ = [
    'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py',
    '../backbones/convnext.py',
    'cascade_box_heads.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.convnext_t, out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[96, 192, 384, 768]),
    roi_head=dict(bbox_head=_base_.cascade_box_heads),
    train_cfg=dict(rpn=dict(allowed_border=-1)),
)
