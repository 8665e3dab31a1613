# A very small CEDNet and head, for two CPU cores
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(16, 32, 64, 96), blocks=(1, 1, 2, 1), num_stages=2),
        drop_path_rate=0.0,
        layer_scale=1.0,
    ),
    head=dict(in_channels=96, num_stages=2),
    train_cfg=None,
)
