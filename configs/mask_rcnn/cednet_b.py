# Not in the paper's tables; the recipe is
_base_ = 'cednet_s.py'

model = dict(backbone=dict(arch='base', drop_path_rate=0.4))
