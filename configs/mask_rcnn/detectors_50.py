# Table 2c: box AP 46.2, mask AP 40.4, cited by the paper: Hybrid Task Cascade with the recursive
# pyramid, without switchable atrous convolutions
_base_ = 'mmdet::detectors/htc_r50-rfp_1x_coco.py'
