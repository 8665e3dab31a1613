# AdamW with one learning rate, in mixed precision; weight decay as for CEDNet: none for norms and
# biases of the backbone, 1e-4 for all parameters of neck and head
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(neck=dict(decay_mult=0.002), bbox_head=dict(decay_mult=0.002)),
    ),
)
