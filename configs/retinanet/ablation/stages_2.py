# Tables 4, 6: box AP 42.9 in the paper
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 192, 352, 512), blocks=(3, 3, 6, 3), num_stages=2)
    )
)
