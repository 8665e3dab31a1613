# COCO boxes and masks with large-scale jitter and copy-paste
_base_ = 'coco_lsj_copy_paste.py'

jitter = _base_.jitter
jitter[1].with_mask = True
test_pipeline = _base_.test_pipeline
test_pipeline[2].with_mask = True
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=jitter)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
