# Table 5: box AP 45.3 in the paper
_base_ = 'cednet_t.py'

pyramid = _base_.model.backbone.pyramid
model = dict(backbone=dict(_delete_=True, **_base_.cednet_r50_t, pyramid=pyramid))
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0))
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
