# Table 4: box AP 43.3 in the paper
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 192, 352, 512), blocks=(3, (1, 2, 1), (5, 10, 5)))
    )
)
