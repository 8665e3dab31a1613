# A very small CEDNet with mask_rcnn for data/nuclei: 170 training images, 5167 objects
_base_ = [
    '../../configs/_base_/models/mask_rcnn_nano.py',
    '../../configs/_base_/datasets/custom_coco.py',
    '../../configs/_base_/schedules/scratch.py',
    '../../configs/_base_/runtime.py',
]
classes = ('nucleus',)
data_root = 'data/nuclei/'
model = dict(
    backbone=dict(
        pyramid=dict(levels=(3, 4, 5, 6)),
        init_cfg=dict(type='Pretrained', checkpoint='mmcednet://nano'),
    ),
    rpn_head=dict(anchor_generator=dict(scales=[2.0, 2.83], ratios=[1.0], strides=[8, 16, 32, 64])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[8, 16, 32, 64], finest_scale=32),
        mask_roi_extractor=dict(featmap_strides=[8, 16, 32, 64], finest_scale=32),
        bbox_head=dict(num_classes=1),
        mask_head=dict(num_classes=1),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=920, max_per_img=460)),
    test_cfg=dict(rpn=dict(nms_pre=460, max_per_img=460), rcnn=dict(max_per_img=230)),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomResize', scale=(512, 512), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=classes),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(
    type='CrowdedCocoMetric',
    max_dets=230,
    ann_file='data/nuclei/val.json',
    metric=['bbox', 'segm'],
)
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='test.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='CrowdedCocoMetric',
    max_dets=230,
    ann_file='data/nuclei/test.json',
    metric=['bbox', 'segm'],
)
custom_imports = dict(imports=['mmcednet', 'mmcednet.evaluation'])
max_epochs = 29
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best='coco/segm_mAP@230', rule='greater'))
auto_scale_lr = dict(base_batch_size=4)
