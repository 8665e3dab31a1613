# Mask2Former on ConvNeXt-T; not in the paper's tables, from the released configs
_base_ = [
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    '../_base_/backbones/convnext.py',
]

custom_imports = dict(imports=['mmcednet', 'mmcednet.heads'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.convnext_t, out_indices=(0, 1, 2, 3)),
    panoptic_head=dict(in_channels=[96, 192, 384, 768]),
    train_cfg=dict(assigner=dict(type='Float32HungarianAssigner')),  # --amp: mmdet's costs overflow
)
