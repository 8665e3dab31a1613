"""Configs that CEDNet is put into, and the sentence for those that nothing can inherit from."""

import pytest
from mmengine.registry import MODELS, DefaultScope

from mmcednet.config_files import read_config
from mmcednet.models import CEDNet
from mmcednet.use_cednet.config import use_cednet


def test_lines_for_a_config_in_pure_python(root, tmp_path):
    """The config with a ResNet, and with the lines that the error has at its end."""
    text = (root / 'tests' / 'assets' / 'pure_python.py').read_text()
    path = tmp_path / 'my.py'
    resnet = (
        'from mmdet.models import FPN, ResNet\n'
        "model['backbone'] = dict(type=ResNet, depth=18, out_indices=(1, 2, 3))\n"
        "model['neck'] = dict(type=FPN, in_channels=[128, 256, 512], out_channels=16, num_outs=5)\n"
        "model['data_preprocessor']['mean'] = [0, 0, 0]\n"
    )
    path.write_text(text + resnet)
    with pytest.raises(ValueError, match=r'my\.py is in pure Python, .* add to its end: ') as error:
        use_cednet(str(path), tmp_path / 'out.py')
    assert not (tmp_path / 'out.py').exists()
    lines = str(error.value).partition('add to its end: ')[2].split('; ')
    path.write_text('\n'.join([text + resnet, *lines]))
    cfg = read_config(str(path))
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    assert isinstance(model.backbone, CEDNet)
    assert model.backbone.out_strides == (8, 16, 32, 64, 128)
    assert not model.with_neck
