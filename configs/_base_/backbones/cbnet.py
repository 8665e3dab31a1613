# CBNet of three ResNeXt-152 32x8d with frozen BatchNorm and a frozen first stage, as in the authors'
# Detectron. They start each backbone from Detectron's ResNeXt-152 of ImageNet-5K, a file of another
# format; model.backbone.backbone.init_cfg can load a ResNeXt-152 of mmdet into each.
cbnet_x152 = dict(
    type='CBNet',
    num_backbones=3,
    backbone=dict(
        type='ResNeXt',
        depth=152,
        groups=32,
        base_width=8,
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        style='pytorch',
    ),
)
