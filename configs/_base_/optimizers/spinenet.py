# SGD in mixed precision for batches of 256 images; no weight decay for norms and biases
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='SGD', lr=0.28, momentum=0.9, weight_decay=4e-5),
    # the head's convolutions are in it once per level
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, bypass_duplicate=True),
    clip_grad=dict(max_norm=10),
)
