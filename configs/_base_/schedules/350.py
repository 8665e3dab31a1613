# 350 epochs from random weights
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=350, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.0067 / 0.28, by_epoch=False, begin=0, end=2000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=350, milestones=[320, 340], gamma=0.1),
]
