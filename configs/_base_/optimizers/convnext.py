# AdamW with ConvNeXt's own layer-wise learning-rate decay, in mixed precision; weight decay as for
# CEDNet
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='ConvNeXtOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.95, num_layers=6, head_weight_decay=1e-4),
)
