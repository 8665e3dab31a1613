# RevCol without pre-trained weights. Models use revcol_t; revcol_s and revcol_b contain only the
# differences. Its authors keep all activations in memory when they train detectors and segmenters;
# --cfg-options model.backbone.reversible=True computes them again instead.
revcol_t = dict(
    type='RevCol',
    channels=[64, 128, 256, 512],
    blocks=[2, 2, 4, 2],
    num_columns=4,
    drop_path_rate=0.3,
    reversible=False,
)
revcol_s = dict(num_columns=8)
revcol_b = dict(channels=[72, 144, 288, 576], blocks=[1, 1, 3, 2], num_columns=16)
