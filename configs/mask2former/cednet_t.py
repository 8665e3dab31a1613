# Mask2Former on CEDNet's raw levels: instance segmentation on COCO, not in the paper's tables
_base_ = [
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    '../_base_/backbones/cednet.py',
]

custom_imports = dict(imports=['mmcednet', 'mmcednet.heads'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(_delete_=True, **_base_.cednet_t, out_levels=(2, 3, 4, 5)),
    panoptic_head=dict(in_channels=[96, 192, 352, 512]),
    train_cfg=dict(assigner=dict(type='Float32HungarianAssigner')),  # --amp: mmdet's costs overflow
)
