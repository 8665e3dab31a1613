# Table 2d: box AP 53.6, mask AP 46.9 in the paper
_base_ = 'cednet_s.py'

model = dict(backbone=dict(arch='base', drop_path_rate=0.4))
