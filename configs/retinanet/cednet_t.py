# Tables 1, 2b, 5, 7, 8: box AP 48.3 in the paper
_base_ = [
    '../_base_/models/retinanet.py',
    '../_base_/datasets/coco_lsj_copy_paste.py',
    '../_base_/optimizers/cednet.py',
    '../_base_/schedules/3x.py',
    '../_base_/runtime.py',
]
# The paper starts from ImageNet-1K pre-training:
# model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='cednet_t_in1k.pth')))
