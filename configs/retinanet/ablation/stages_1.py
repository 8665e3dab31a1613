# Tables 4, 6: box AP 40.6 in the paper; only ConvNeXt's widths come close to the tables' 38M parameters
_base_ = 'stages_3.py'

model = dict(backbone=dict(arch=dict(_delete_=True, **_base_.cednet_ablations.stages_1)))
