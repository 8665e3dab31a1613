# Focal Transformer with the focal windows of the paper's detectors and the drop path rate of Swin's
# segmenters. Models use focal_t; focal_s and focal_b contain only the differences.
focal_t = dict(
    type='FocalTransformer',
    embed_dims=96,
    depths=(2, 2, 6, 2),
    num_heads=(3, 6, 12, 24),
    focal_windows=(15, 13, 9, 7),
    drop_path_rate=0.3,
)
focal_s = dict(depths=(2, 2, 18, 2))
focal_b = dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32))
