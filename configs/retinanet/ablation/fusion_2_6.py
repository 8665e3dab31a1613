# Table 4: box AP 43.3 in the paper
_base_ = 'stages_3.py'

model = dict(backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.fusion_2_6)))
