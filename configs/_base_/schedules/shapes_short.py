# Two-stage detectors: their iterations take longer, and they learn in fewer
_base_ = 'shapes.py'

epochs = 4
train_cfg = dict(max_epochs=epochs, val_interval=1)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=epochs, T_max=epochs),
]
