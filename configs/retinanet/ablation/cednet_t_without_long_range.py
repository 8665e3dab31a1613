# Table 8: box AP 47.9 in the paper
_base_ = '../cednet_t.py'

model = dict(backbone=dict(long_range=False))
