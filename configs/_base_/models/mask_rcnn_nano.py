# A very small CEDNet and heads, for two CPU cores
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', '../backbones/cednet_nano.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(_delete_=True, **_base_.cednet_nano),
    neck=None,
    rpn_head=dict(
        in_channels=48,
        feat_channels=48,
        anchor_generator=dict(strides=[4, 8, 16, 32]),
    ),
    # RoIs up to 32 px come from the level of stride 4
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=48, finest_scale=16),
        bbox_head=dict(in_channels=48, fc_out_channels=128),
        mask_roi_extractor=dict(roi_layer=dict(output_size=7), out_channels=48, finest_scale=16),
        mask_head=dict(num_convs=2, in_channels=48, conv_out_channels=48),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=64), mask_size=14),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=200, max_per_img=50),
        rcnn=dict(max_per_img=30),
    ),
)
