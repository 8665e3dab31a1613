# Tables 4, 6: box AP 40.6 in the paper; its 38M need ConvNeXt's widths
_base_ = 'stages_3.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=(96, 192, 384, 768), blocks=(3, 6, 9, 3), num_stages=1)
    )
)
