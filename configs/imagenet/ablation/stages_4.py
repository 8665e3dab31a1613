# For Table 6: 100 epochs
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.stages_4)),
    head=dict(num_stages=4),
)
