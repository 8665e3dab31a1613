# Not in the paper's tables; the recipe of S
_base_ = 'cednet_s.py'

model = dict(backbone=dict(arch='base'))
