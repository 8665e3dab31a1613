_base_ = [
    'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py',
    '../backbones/revcol.py',
    'cascade_box_heads.py',
]

model = dict(
    backbone=dict(_delete_=True, **_base_.revcol_t),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=_base_.cascade_box_heads),
)
