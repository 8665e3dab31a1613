# Table 1: box AP 46.6, cited by the paper: GiraffeDet-D11 with the head of Generalized Focal Loss V2,
# from random weights
_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'

custom_imports = dict(imports=['mmcednet', 'mmcednet.heads'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, type='SpaceToDepthChain'),
    neck=dict(
        _delete_=True,
        type='GeneralizedFPN',
        in_channels=(128, 256, 512, 1024, 2048),
        channels=179,  # 256 x 0.7
        num_layers=21,
    ),
    bbox_head=dict(type='GFocalHead', stacked_convs=2),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=[(1333, 480), (1333, 960)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=73)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=7330),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=73, milestones=[66, 71], gamma=0.1),
]
optim_wrapper = dict(optimizer=dict(lr=0.02))
sync_bn = 'torch'
