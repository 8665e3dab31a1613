_base_ = 'cednet_t.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.4), head=dict(num_stages=4))
