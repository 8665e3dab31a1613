# The decode head takes CEDNet's raw levels c2..c5, the auxiliary head level 3 of the second-to-last
# stage
_base_ = ['upernet_heads.py', '../backbones/cednet.py']

model = dict(backbone=dict(_base_.cednet_t, out_levels=(2, 3, 4, 5), aux_stages=True, layer_scale=1.0))
