# For two-stage detectors, whose iterations take longer but which need fewer
_base_ = 'shapes.py'

epochs = 5
train_cfg = dict(max_epochs=epochs, val_interval=1)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=epochs, T_max=epochs),
]
