# AdamW with layer-wise learning-rate decay as RevCol's authors have it, in mixed precision; num_layers
# is the number of a column's blocks plus that of the columns, minus 1
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.85, num_layers=13),
)
