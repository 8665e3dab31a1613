# Table 4: box AP 42.4 in the paper
_base_ = 'stages_3.py'

model = dict(backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.fusion_4_6)))
