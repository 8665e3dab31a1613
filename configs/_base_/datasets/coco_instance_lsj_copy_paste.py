# COCO boxes and masks with large-scale jitter and copy-paste
_base_ = ['mmdet::_base_/datasets/coco_instance.py', 'lsj_copy_paste.py']

train_dataloader = dict(_delete_=True, **_base_.lsj_copy_paste_dataloader)
train_dataloader['dataset']['dataset']['pipeline'][1].update(with_mask=True, poly2mask=False)
