# Table 1: box AP 47.1, cited by the paper: SpineNet's protocol B, from random weights. Its published
# checkpoints for PyTorch need output_act=False and the anchors of mmdet 1.x: docs/fidelity.md
_base_ = [
    '../_base_/models/retinanet_spinenet.py',
    '../_base_/datasets/coco_scale_jitter.py',
    '../_base_/optimizers/spinenet.py',
    '../_base_/schedules/350.py',
    '../_base_/runtime.py',
]
train_dataloader = dict(batch_size=8)
default_hooks = dict(checkpoint=dict(interval=10))
sync_bn = 'torch'
auto_scale_lr = dict(base_batch_size=256)  # 32 GPUs x 8 images
