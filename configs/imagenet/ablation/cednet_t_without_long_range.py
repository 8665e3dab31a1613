# For Table 8
_base_ = '../cednet_t.py'

model = dict(backbone=dict(long_range=False))
