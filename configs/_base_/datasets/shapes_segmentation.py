# The generated shapes' label maps; background is a class as well
_base_ = 'shapes.py'

metainfo = dict(
    classes=('background', 'disc', 'square', 'triangle', 'star'),
    palette=[(40, 40, 40), (230, 90, 80), (70, 180, 100), (70, 120, 230), (240, 190, 50)],
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='BaseSegDataset',
        data_root=_base_.data_root,
        data_prefix=dict(img_path='train', seg_map_path='labels/train'),
        img_suffix='.png',
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='BaseSegDataset',
        data_root=_base_.data_root,
        data_prefix=dict(img_path='val', seg_map_path='labels/val'),
        img_suffix='.png',
        metainfo=metainfo,
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
shown_metrics = dict(_delete_=True, mIoU='mIoU')
