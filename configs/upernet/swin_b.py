# Table 3: mIoU 48.1, multi-scale 49.7, cited by the paper; optimizer of Swin's authors
_base_ = 'swin_s.py'

model = dict(
    backbone=dict(
        **_base_.swin_archs.base,
        init_cfg=dict(
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/swin/swin_base_patch4_window7_224_20220317-e9b98025.pth',
        ),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
