"""Weights that come with the package: their files, and the networks that start from them."""

import hashlib

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmcednet.checkpoints.shipped import FOLDER, SHIPPED, find_pretrained
from mmcednet.models import CEDNet

MAX_SIZE = 10e6  # bytes of a file, which every installation downloads


@pytest.mark.parametrize('name', SHIPPED)
def test_files(name):
    path = FOLDER / SHIPPED[name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'{name}-{digest[:8]}.safetensors'
    assert path.stat().st_size < MAX_SIZE
    assert f'`{path.name}`' in (FOLDER / 'README.md').read_text(encoding='utf-8')


def test_every_file_has_a_name():
    assert {path.name for path in FOLDER.iterdir()} == {'README.md', *SHIPPED.values()}


def test_the_detector_of_new_config_lacks_only_the_pyramid(root):
    cfg = Config.fromfile(root / 'configs' / '_base_' / 'backbones' / 'cednet_nano.py').cednet_nano
    cfg.pop('type')
    backbone = CEDNet(**cfg, init_cfg=dict(type='Pretrained', checkpoint='mmcednet://nano'))
    initial = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.init_weights()
    weights = CheckpointLoader.load_checkpoint('mmcednet://nano')['state_dict']
    for key, value in backbone.state_dict().items():
        source = weights.pop(f'backbone.{key}', None)
        if source is None:
            assert key.startswith('pyramid.'), key
            assert torch.equal(value, initial[key])
        else:
            assert torch.equal(value, source)
    assert not weights


def test_names_files_and_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my.pth').touch()
    assert find_pretrained('nano') == 'mmcednet://nano'
    assert find_pretrained('my.pth') == str(tmp_path / 'my.pth')
    assert find_pretrained('https://example.org/a.pth') == 'https://example.org/a.pth'
    with pytest.raises(ValueError, match=r'--pretrained nanno does not exist; .* weights named: nano'):
        find_pretrained('nanno')
    with pytest.raises(ValueError, match="the name of weights 'huge' is unknown; choose one of: nano"):
        CheckpointLoader.load_checkpoint('mmcednet://huge')
