_base_ = ['cascade_mask_rcnn_4conv1fc.py', '../backbones/swin_t.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.swin_t, out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
