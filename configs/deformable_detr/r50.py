# Not in the paper's tables; from the released configs: BatchNorm trains, nothing is frozen
_base_ = 'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py'

custom_imports = dict(imports=['mmcednet'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(frozen_stages=-1, norm_cfg=dict(requires_grad=True), norm_eval=False),
)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.999)))
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
