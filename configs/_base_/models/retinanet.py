_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', '../backbones/cednet.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.cednet_t, pyramid=dict(levels=(3, 4, 5, 6, 7), channels=256)),
    neck=None,
)
