# Table 2a: box AP 47.1 in the paper
_base_ = [
    'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    '../_base_/backbones/convnext.py',
]

custom_imports = dict(imports=['mmcednet'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.convnext_t, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[192, 384, 768]),
)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.999)))
