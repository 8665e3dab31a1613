# Table 1: box AP 47.4 in the paper; narrower, to offset the cost of
# the blocks on the lateral connections
_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.hourglass), style='hourglass')
)
