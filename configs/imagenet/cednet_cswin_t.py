# For Table 5
_base_ = 'cednet_t.py'

model = dict(backbone=dict(arch='cswin_t'), head=dict(in_channels=320, mixer='cross_window'))
