# For Table 1's Hourglass style
_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.hourglass), style='hourglass')
)
