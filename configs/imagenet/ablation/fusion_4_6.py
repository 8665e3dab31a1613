# For Table 4: 100 epochs
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.fusion_4_6)),
    head=dict(num_stages=2),
)
