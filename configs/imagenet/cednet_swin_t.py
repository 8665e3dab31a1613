# For Table 5
_base_ = 'cednet_t.py'

model = dict(backbone=dict(arch='swin_t'), head=dict(in_channels=416, mixer='window'))
