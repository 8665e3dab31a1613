# Table 1: box AP 46.7 in the paper
_base_ = 'convnext_t_fpn.py'

model = dict(
    neck=dict(_delete_=True, type='BiFPN', in_channels=(192, 384, 768), out_channels=256, num_layers=7)
)
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
