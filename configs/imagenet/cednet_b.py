_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    head=dict(in_channels=704, num_stages=4),
)
