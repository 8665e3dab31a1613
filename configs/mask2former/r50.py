# Mask2Former on ResNet-50; not in the paper's tables, from the released configs: BatchNorm trains
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'

custom_imports = dict(imports=['mmcednet', 'mmcednet.heads'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(norm_cfg=dict(requires_grad=True), norm_eval=False),
    train_cfg=dict(assigner=dict(type='Float32HungarianAssigner')),  # --amp: mmdet's costs overflow
)
sync_bn = 'torch'  # two images per GPU are too few for BatchNorm
