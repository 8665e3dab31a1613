# Mask2Former on CEDNet's raw levels: instance segmentation on COCO, in no table of the paper
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'

custom_imports = dict(imports=['mmcednet'])
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(
        _delete_=True,
        type='CEDNet',
        arch='tiny',
        out_levels=(2, 3, 4, 5),
        drop_path_rate=0.2,
        layer_scale=1e-6,
    ),
    panoptic_head=dict(in_channels=[96, 192, 352, 512]),
)
# Mask2Former starts from ImageNet-1K pre-training:
# model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='cednet_t_in1k.pth')))
