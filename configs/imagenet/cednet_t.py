# ImageNet-1K pre-training of CEDNet-T (section 4.1)
_base_ = [
    '../_base_/models/classifier.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet.py',
    '../_base_/classification_runtime.py',
]
