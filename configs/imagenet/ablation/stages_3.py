# For Tables 4 and 6: 100 epochs
_base_ = '../cednet_t.py'

train_cfg = dict(max_epochs=100)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=20, end=100, convert_to_iter_based=True),
]
