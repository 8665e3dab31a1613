# Table 2a: box AP 49.0 in the paper
_base_ = 'convnext_t.py'

model = dict(backbone=_base_.convnext_s)
