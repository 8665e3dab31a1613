# For Tables 4 and 6: 100 epochs
_base_ = [
    '../../_base_/models/classifier.py',
    '../../_base_/datasets/imagenet.py',
    '../../_base_/schedules/imagenet_100.py',
    '../../_base_/classification_runtime.py',
]
