# For about 1,000 images in small batches, from random weights (docs/training_from_scratch.md), and for
# the very small CEDNet also from pre-trained ones (docs/pretraining.md)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.99), weight_decay=0.05),
    paramwise_cfg=dict(flat_decay_mult=0.0),  # biases, norms and layer scale
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, end=50, T_max=50, convert_to_iter_based=True),
]
