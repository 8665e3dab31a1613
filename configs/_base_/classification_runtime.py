_base_ = 'mmpretrain::_base_/default_runtime.py'

custom_imports = dict(imports=['mmcednet'])
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
# 32 GPUs x 128 images; --auto-scale-lr scales the learning rate for other batch sizes
auto_scale_lr = dict(enable=False, base_batch_size=4096)
