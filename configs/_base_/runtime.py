_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['mmcednet'])
# 8 GPUs x 2 images; --auto-scale-lr scales the learning rate for other batch sizes
auto_scale_lr = dict(enable=False, base_batch_size=16)
