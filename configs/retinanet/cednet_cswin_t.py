# Table 5: box AP 49.5 in the paper
_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='CEDNet',
        arch='cswin_t',
        pyramid=dict(levels=(3, 4, 5, 6, 7), channels=256),
        drop_path_rate=0.2,
    )
)
optim_wrapper = dict(paramwise_cfg=dict(decay_type='fine', num_layers=7))
