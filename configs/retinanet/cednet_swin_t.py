# Table 5: box AP 47.4 in the paper
_base_ = 'cednet_t.py'

pyramid = _base_.model.backbone.pyramid
model = dict(backbone=dict(_delete_=True, **_base_.cednet_swin_t, pyramid=pyramid))
