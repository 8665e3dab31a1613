# Table 1: box AP 47.4 in the paper; narrower, for what the laterals' blocks cost
_base_ = 'cednet_t.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 160, 320, 512), blocks=(3, 2, 4, 2), num_stages=3),
        style='hourglass',
    )
)
