# AdamW with layer-wise learning-rate decay for CEDNet, in mixed precision. The released detectors,
# unlike the segmenters, have a weight decay of 1e-4 outside the backbone.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='coarse', decay_rate=0.95, num_layers=4, head_weight_decay=1e-4),
)
