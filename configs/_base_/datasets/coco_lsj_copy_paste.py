# COCO boxes with large-scale jitter and copy-paste
_base_ = ['mmdet::_base_/datasets/coco_detection.py', 'lsj_copy_paste.py']

train_dataloader = dict(_delete_=True, **_base_.lsj_copy_paste_dataloader)
