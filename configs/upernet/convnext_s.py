# Table 3: mIoU 48.7 in the paper, multi-scale 49.6
_base_ = 'convnext_t.py'

model = dict(backbone=dict(_base_.convnext_s, drop_path_rate=0.3))
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
