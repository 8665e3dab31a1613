# Table 3: mIoU 47.9, multi-scale 49.0, cited by the paper from RevCol
_base_ = 'revcol_t.py'

model = dict(backbone=_base_.revcol_s)
optim_wrapper = dict(optimizer=dict(lr=4e-5), paramwise_cfg=dict(num_layers=17))
