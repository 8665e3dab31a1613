# timm's FocalNet with large receptive fields, as its authors use it in detectors: depth-wise kernels of
# 9, 11 and 13 instead of 3, 5 and 7, and a LayerNorm on each level. Needs timm: pip install
# "mmcednet[timm]". The authors' classifiers fit after tools/model_converters/baselines.py focalnet IN
# OUT, which pads the kernels; timm's own checkpoints, which pretrained=True would download, do not fit.
# From random weights, whose biases are 0, the gradients of constant areas, such as padding, overflow.
# Models use focalnet_s; focalnet_b contains only the differences.
focalnet_s = dict(
    type='NormedLevels',
    network=dict(
        type='mmpretrain.TIMMBackbone',
        model_name='focalnet_small_lrf',
        features_only=True,
        focal_windows=(9, 9, 9, 9),
        drop_path_rate=0.5,
    ),
    channels=(96, 192, 384, 768),
)
focalnet_b = dict(network=dict(model_name='focalnet_base_lrf'), channels=(128, 256, 512, 1024))
