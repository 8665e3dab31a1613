# Table 2b: box AP 46.4 in the paper, cited there: trained with the augmentation of DETR
_base_ = [
    '../_base_/models/retinanet_swin.py',
    '../_base_/datasets/coco_detr.py',
    '../_base_/optimizers/swin.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(
        depths=(2, 2, 18, 2),
        init_cfg=dict(
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_small_patch4_window7_224.pth',
        ),
    )
)
