# For Table 5
_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(arch='r50_t', drop_path_rate=0.0),
    head=dict(in_channels=384, mixer='conv'),
)
