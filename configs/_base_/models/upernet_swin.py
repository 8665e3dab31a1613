# mmseg's Swin-S, whose pre-trained weights have mmseg's names
_base_ = ['upernet_heads.py', '../backbones/swin.py']

model = dict(
    backbone=dict(
        type='SwinTransformer',
        **_base_.swin_archs.small,
        drop_path_rate=0.3,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/swin/swin_small_patch4_window7_224_20220317-7ba6d6dd.pth',
        ),
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384, in_index=2),
)
