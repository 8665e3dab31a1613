# A backbone for two CPU cores; a config puts it into its model
cednet_nano = dict(
    type='CEDNet',
    arch=dict(channels=(16, 32, 64, 96), blocks=(1, 1, 2, 1), num_stages=2),
    pyramid=dict(levels=(2, 3, 4, 5), channels=48),
    drop_path_rate=0.0,
    layer_scale=1.0,
)
