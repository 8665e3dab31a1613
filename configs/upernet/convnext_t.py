# Table 3: mIoU 46.0 in the paper, multi-scale 46.7
_base_ = [
    '../_base_/models/upernet_convnext.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/optimizers/convnext_cited.py',
    '../_base_/schedules/160k.py',
    '../_base_/segmentation_runtime.py',
]
optim_wrapper = dict(paramwise_cfg=dict(decay_type='stage_wise', decay_rate=0.9))
tta_test_cfg = dict(mode='whole')  # its authors test the whole image at several scales
