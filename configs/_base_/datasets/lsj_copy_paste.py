# Large-scale jitter, and copy-paste by boxes (Ghiasi et al., 2021), for coco_*lsj_copy_paste.py
size = (1024, 1024)
load_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LargeScaleJitter', size=size, ratio_range=(0.1, 2.0)),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type='RandomFlip', prob=0.5),
    # the mean colour (BGR), which normalisation maps to 0, the padding value of test images
    dict(type='Pad', size=size, pad_val=dict(img=(104, 116, 124))),
]
lsj_copy_paste_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='PairedDataset',
        prob=0.5,
        dataset=dict(
            type='CocoDataset',
            data_root='data/coco/',
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017/'),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=load_pipeline,
        ),
        pipeline=[
            dict(type='BoxCopyPaste', max_iou=0.2, max_pasted=7, margin=15),
            dict(type='RasterizePolygons'),
            dict(type='PackDetInputs'),
        ],
    ),
)
