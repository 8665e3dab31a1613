# Table 3: mIoU 48.0, multi-scale 50.0, cited by the paper; its authors follow Swin's segmenters
_base_ = 'focal_t.py'

model = dict(backbone=_base_.focal_s)
