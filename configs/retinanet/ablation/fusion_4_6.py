# Table 4: box AP 42.4 in the paper
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 192, 352, 512), blocks=(3, (4, 8, 4), (2, 4, 2)))
    )
)
