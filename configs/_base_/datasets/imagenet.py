# 224x224 bicubic, RandAugment rand-m9-mstd0.5-inc1, random erasing 0.25
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'

train_dataloader = dict(batch_size=128)
