# The very small CEDNet, pre-trained on Tiny ImageNet on a CPU: docs/pretraining.md
_base_ = [
    '../_base_/models/classifier_nano.py',
    '../_base_/classification_runtime.py',
    '../_base_/nano_classification.py',
]

model = dict(
    backbone=dict(recompute='none'),  # images of 64 px need little memory
    head=dict(num_classes=200),
)
data_preprocessor = dict(num_classes=200)
data_root = 'data/tiny-imagenet-200'
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.35, 1.0)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=100,
    dataset=dict(data_root=data_root, data_prefix='val/images', ann_file='val.txt'),
)
test_dataloader = val_dataloader

epochs = 4
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=0,
        end=epochs,
        T_max=epochs,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=64)
