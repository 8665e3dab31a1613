# CEDNet with a head for each stage; out_levels and aux_stages give it the stages' coarsest features
_base_ = '../backbones/cednet.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(
        _base_.cednet_t,
        final_decoder=False,
        out_levels=(5,),
        aux_stages=True,
        aux_level=5,
        drop_path_rate=0.1,
        top_down_init=1.0,  # as in the published pre-training
    ),
    head=dict(
        type='CEDNetClsHead',
        num_classes=1000,
        in_channels=512,
        num_stages=3,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
