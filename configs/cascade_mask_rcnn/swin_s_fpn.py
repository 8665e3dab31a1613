# Table 2d: box AP 51.8, mask AP 44.7 in the paper, cited there: augmentation of DETR
_base_ = [
    '../_base_/models/cascade_mask_rcnn_swin.py',
    '../_base_/datasets/coco_instance_detr.py',
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
