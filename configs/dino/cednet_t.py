# DINO with four scales, mmdet's recipe; not in the paper
_base_ = ['mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py', '../_base_/backbones/cednet.py']

custom_imports = dict(imports=['mmcednet'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.cednet_t, pyramid=dict(levels=(3, 4, 5, 6), channels=256)),
    neck=None,
)
