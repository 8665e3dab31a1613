# For Tables 4 and 6: 100 epochs
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 192, 384, 768), blocks=(3, 6, 9, 3), num_stages=1)
    ),
    head=dict(in_channels=768, num_stages=1),
)
