_base_ = [
    'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py',
    '../backbones/cednet.py',
    'cascade_box_heads.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.cednet_t, pyramid=dict(levels=(2, 3, 4, 5, 6), channels=256)),
    neck=None,
    roi_head=dict(bbox_head=_base_.cascade_box_heads),
    train_cfg=dict(rpn=dict(allowed_border=-1)),
)
