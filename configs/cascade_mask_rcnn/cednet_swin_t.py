# Not in the paper's tables; from the released configs
_base_ = 'cednet_t.py'

pyramid = _base_.model.backbone.pyramid
model = dict(backbone=dict(_delete_=True, **_base_.cednet_swin_t, pyramid=pyramid))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
