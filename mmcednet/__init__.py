"""mmcednet: the CEDNet backbone for MMDetection, MMSegmentation and MMPretrain."""
