# Mask2Former on CEDNet-R50-T's raw levels; not in the paper's tables, from the released configs
_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(_delete_=True, **_base_.cednet_r50_t, out_levels=(2, 3, 4, 5)),
    panoptic_head=dict(in_channels=[64, 128, 256, 384]),
)
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
