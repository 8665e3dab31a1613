# Table 5: box AP 45.3 in the paper
_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='CEDNet',
        arch='r50_t',
        pyramid=dict(levels=(3, 4, 5, 6, 7), channels=256),
        drop_path_rate=0.0,
    )
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0))
sync_bn = 'torch'  # two images on a GPU are too few for batch norm
