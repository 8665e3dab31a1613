# A very small CEDNet with retinanet for data/BCCD_Dataset/BCCD: 205 training images, 2804 objects
_base_ = [
    '../../configs/_base_/models/retinanet_nano.py',
    '../../configs/_base_/datasets/custom_coco.py',
    '../../configs/_base_/schedules/scratch.py',
    '../../configs/_base_/runtime.py',
]
classes = ('Platelets', 'RBC', 'WBC')
data_root = 'data/BCCD_Dataset/BCCD/'
model = dict(
    backbone=dict(pyramid=dict(levels=(3, 4, 5, 6))),
    bbox_head=dict(
        num_classes=3,
        anchor_generator=dict(octave_base_scale=2.6, ratios=[1.0], strides=[8, 16, 32, 64]),
    ),
)
# add vertical flips (direction) where images have no top, for example under a microscope
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=(320, 240), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_root=data_root,
        ann_file='coco/train.json',
        data_prefix=dict(img='./'),
        metainfo=dict(classes=classes),
        filter_cfg=dict(filter_empty_gt=True, min_size=1),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='coco/val.json',
        data_prefix=dict(img='./'),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(ann_file='data/BCCD_Dataset/BCCD/coco/val.json', metric='bbox')
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='coco/test.json',
        data_prefix=dict(img='./'),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(ann_file='data/BCCD_Dataset/BCCD/coco/test.json', metric='bbox')
max_epochs = 49
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
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
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best='auto'))
auto_scale_lr = dict(base_batch_size=4)
