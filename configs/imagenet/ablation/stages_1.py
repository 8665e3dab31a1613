# For Tables 4 and 6: 100 epochs
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.stages_1)),
    head=dict(in_channels=768, num_stages=1),
)
