# CEDNet for detection; each model sets its outputs (pyramid or out_levels)
cednet_t = dict(type='CEDNet', arch='tiny', drop_path_rate=0.2, layer_scale=1e-6)
# Differences from cednet_t
cednet_s = dict(arch='small', drop_path_rate=0.3)
cednet_b = dict(arch='base', drop_path_rate=0.4)
# Other token mixers (Table 5), which have no layer scale
cednet_r50_t = dict(type='CEDNet', arch='r50_t', drop_path_rate=0.0)
cednet_swin_t = dict(type='CEDNet', arch='swin_t', drop_path_rate=0.1)
cednet_cswin_t = dict(type='CEDNet', arch='cswin_t', drop_path_rate=0.2)
# Tables 4 and 6: fusion_K_6 fuses features of several levels after K / 6 of the blocks
cednet_ablations = dict(
    fusion_1_6=dict(channels=(96, 192, 352, 512), blocks=(3, (1, 2, 1), (5, 10, 5))),
    fusion_2_6=dict(channels=(96, 192, 352, 512), blocks=(3, (2, 4, 2), (4, 8, 4))),
    fusion_4_6=dict(channels=(96, 192, 352, 512), blocks=(3, (4, 8, 4), (2, 4, 2))),
    fusion_5_6=dict(channels=(96, 192, 352, 512), blocks=(3, (5, 10, 5), (1, 2, 1))),
    # ConvNeXt's channels; only they come close to the tables' 38M parameters
    stages_1=dict(channels=(96, 192, 384, 768), blocks=(3, 6, 9, 3), num_stages=1),
    stages_2=dict(channels=(96, 192, 352, 512), blocks=(3, 3, 6, 3), num_stages=2),
    stages_4=dict(channels=(96, 192, 352, 512), blocks=(3, 1, 4, 1), num_stages=4),
    # Table 1: narrower, to offset the cost of the blocks on the lateral connections
    hourglass=dict(channels=(96, 160, 320, 512), blocks=(3, 2, 4, 2), num_stages=3),
)
