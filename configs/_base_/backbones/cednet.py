# CEDNet for detection; models add its outputs (pyramid or out_levels)
cednet_t = dict(type='CEDNet', arch='tiny', drop_path_rate=0.2, layer_scale=1e-6)
# What differs from cednet_t
cednet_s = dict(arch='small', drop_path_rate=0.3)
cednet_b = dict(arch='base', drop_path_rate=0.4)
# Other token mixers (Table 5), which have no layer scale
cednet_r50_t = dict(type='CEDNet', arch='r50_t', drop_path_rate=0.0)
cednet_swin_t = dict(type='CEDNet', arch='swin_t', drop_path_rate=0.1)
cednet_cswin_t = dict(type='CEDNet', arch='cswin_t', drop_path_rate=0.2)
