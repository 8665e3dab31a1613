# For Table 1's Hourglass style
_base_ = 'cednet_t.py'

arch = dict(_delete_=True, channels=(96, 160, 320, 512), blocks=(3, 2, 4, 2), num_stages=3)
model = dict(backbone=dict(arch=arch, style='hourglass'))
