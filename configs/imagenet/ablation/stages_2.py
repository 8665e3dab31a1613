# For Tables 4 and 6: 100 epochs
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 192, 352, 512), blocks=(3, 3, 6, 3), num_stages=2)
    ),
    head=dict(num_stages=2),
)
