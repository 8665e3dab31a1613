# mmpretrain's ConvNeXt with weights from ImageNet-1K. Models use convnext_t; convnext_s
# and convnext_b contain only the differences.
convnext_t = dict(
    type='mmpretrain.ConvNeXt',
    arch='tiny',
    drop_path_rate=0.4,
    layer_scale_init_value=1.0,
    gap_before_final_norm=False,
    init_cfg=dict(
        type='Pretrained',
        prefix='backbone.',
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth',
    ),
)
convnext_s = dict(
    arch='small',
    drop_path_rate=0.6,
    init_cfg=dict(
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth',
    ),
)
convnext_b = dict(
    arch='base',
    drop_path_rate=0.7,
    init_cfg=dict(
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-base_3rdparty_32xb128-noema_in1k_20220301-2a0ee547.pth',
    ),
)
