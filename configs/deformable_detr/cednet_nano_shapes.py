# A very small CEDNet and transformer on the generated shapes, for the demo: minutes on two CPU cores.
# Unlike the paper's model, it is two-stage with box refinement, to learn in so few iterations. mmdet
# supports two-stage only with 256 channels, which is too expensive at stride 4.
_base_ = [
    '../_base_/backbones/cednet_nano.py',
    '../_base_/datasets/shapes.py',
    '../_base_/runtime_shapes.py',
    '../_base_/schedules/shapes.py',
]

attention = dict(embed_dims=256, num_levels=3, dropout=0.0, batch_first=True)
ffn = dict(embed_dims=256, feedforward_channels=256, ffn_drop=0.0)
model = dict(
    type='DeformableDETR',
    num_queries=30,
    num_feature_levels=3,
    with_box_refine=True,
    as_two_stage=True,
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(_base_.cednet_nano, pyramid=dict(levels=(3, 4, 5), channels=256)),
    encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
    decoder=dict(
        num_layers=2,
        return_intermediate=True,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.0, batch_first=True),
            cross_attn_cfg=attention,
            ffn_cfg=ffn,
        ),
        post_norm_cfg=None,
    ),
    positional_encoding=dict(num_feats=128, normalize=True, offset=-0.5),
    bbox_head=dict(
        type='DeformableDETRHead',
        num_classes=4,
        sync_cls_avg_factor=True,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0),
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='FocalLossCost', weight=2.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=30),
)
# With a larger learning rate, a transformer of this width does not converge
optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=4)
