# The same in 100 epochs, for the ablations
_base_ = 'imagenet.py'

train_cfg = dict(max_epochs=100)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=100)]
