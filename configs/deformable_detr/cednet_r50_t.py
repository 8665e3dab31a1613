# Not in the paper's tables; from the released configs
_base_ = [
    'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    '../_base_/backbones/cednet.py',
]

custom_imports = dict(imports=['mmcednet'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(
        _delete_=True, **_base_.cednet_r50_t, pyramid=dict(levels=(3, 4, 5, 6), channels=256)
    ),
    neck=None,
)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.999)))
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
