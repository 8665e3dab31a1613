# Table 6: box AP 43.1 in the paper
_base_ = 'stages_3.py'

model = dict(backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.stages_4)))
