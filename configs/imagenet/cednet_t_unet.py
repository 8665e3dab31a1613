# For Table 1's UNet style
_base_ = 'cednet_t.py'

model = dict(backbone=dict(style='unet'))
