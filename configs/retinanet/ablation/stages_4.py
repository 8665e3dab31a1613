# Table 6: box AP 43.1 in the paper
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 192, 352, 512), blocks=(3, 1, 4, 1), num_stages=4)
    )
)
