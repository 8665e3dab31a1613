# Table 2c: box AP 48.5, mask AP 43.4 in the paper, cited there: augmentation of DETR
_base_ = [
    '../_base_/models/mask_rcnn_swin.py',
    '../_base_/datasets/coco_instance_detr.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224.pth',
        ),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
