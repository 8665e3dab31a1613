# Table 2a: box AP 49.3 in the paper
_base_ = [
    'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    '../_base_/backbones/cednet.py',
]

custom_imports = dict(imports=['mmcednet'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.cednet_t, pyramid=dict(levels=(3, 4, 5, 6), channels=256)),
    neck=None,
)
optim_wrapper = dict(
    optimizer=dict(betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        _delete_=True,
        decay_type='coarse',
        decay_rate=0.5,
        num_layers=4,
        head_weight_decay=1e-4,
        custom_keys=dict(sampling_offsets=dict(lr_mult=0.1), reference_points=dict(lr_mult=0.1)),
    ),
)
