# mmpretrain's ConvNeXt-T; a config puts it into its model, S and B take their weights from here
convnext_weights = dict(
    tiny='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth',
    small='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-small_3rdparty_32xb128-noema_in1k_20220301-303e75e3.pth',
    base='https://mmassets.onedl.ai/mmclassification/v0/convnext/downstream/convnext-base_3rdparty_32xb128-noema_in1k_20220301-2a0ee547.pth',
)
convnext_t = dict(
    type='mmpretrain.ConvNeXt',
    arch='tiny',
    drop_path_rate=0.4,
    layer_scale_init_value=1.0,
    gap_before_final_norm=False,
    init_cfg=dict(
        type='Pretrained',
        prefix='backbone.',
        checkpoint=convnext_weights['tiny'],
    ),
)
