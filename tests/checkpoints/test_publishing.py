"""Published checkpoints: what is kept, and that mmengine reads them."""

import hashlib

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file

from mmcednet.checkpoints.publishing import SUFFIXES, publish
from mmcednet.checkpoints.safetensors_reader import load_from_safetensors
from mmcednet.models import CEDNet

META = dict(
    cfg='lr = 1\n',
    dataset_meta=dict(classes=('disc', 'star'), palette=[(0, 0, 1), (2, 3, 4)]),
    epoch=3,
    iter=60,
    time='20260101_000000',
)


@pytest.fixture
def network(small):
    return CEDNet(small, mixer='conv')  # BatchNorm has a counter, which is an integer


@pytest.fixture
def checkpoint(network, tmp_path):
    """As mmengine writes it: with the state of the training, and a moving average."""
    weights = {f'module.{key}': value for key, value in network.state_dict().items()}
    raw = {key: torch.zeros_like(value) for key, value in weights.items()}
    path = tmp_path / 'epoch_3.pth'
    optimizer = dict(state={0: dict(exp_avg=torch.zeros(100000))})
    torch.save(dict(meta=META, state_dict=weights, ema_state_dict=raw, optimizer=optimizer), path)
    return path


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_round_trip(network, small, checkpoint, tmp_path, suffix):
    path = publish(str(checkpoint), tmp_path / 'new' / f'cells{suffix}')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert [file.name for file in path.parent.iterdir()] == [f'cells-{digest}{suffix}']
    assert path.stat().st_size < checkpoint.stat().st_size / 2
    copy = CEDNet(small, mixer='conv')
    loaded = load_checkpoint(copy, str(path), strict=True)
    for key, value in network.state_dict().items():
        assert torch.equal(copy.state_dict()[key], value), key
        assert copy.state_dict()[key].dtype == value.dtype, key
    assert set(loaded) == {'meta', 'state_dict'}
    assert set(loaded['meta']) == {'cfg', 'dataset_meta', 'epoch', 'iter', 'mmcednet_version'}
    assert loaded['meta']['cfg'] == META['cfg']
    assert tuple(loaded['meta']['dataset_meta']['classes']) == ('disc', 'star')


def test_same_weights_have_the_same_name(checkpoint, tmp_path):
    first, second = (publish(str(checkpoint), tmp_path / f / 'a.safetensors') for f in 'xy')
    assert first.name == second.name


def test_backbone_of_a_published_detector(small, network, tmp_path):
    weights = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    path = publish(str(tmp_path / 'a.pth'), tmp_path / 'a.safetensors')
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    copy = MODELS.build(dict(type='CEDNet', arch=small, mixer='conv', init_cfg=init_cfg))
    copy.init_weights()
    for key, value in network.state_dict().items():
        assert torch.equal(copy.state_dict()[key], value), key


def test_backbone_only(small, network, tmp_path):
    weights = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    head = {'head.fc.weight': torch.zeros(10, 32)}
    torch.save(dict(meta=META, state_dict=weights | head), tmp_path / 'a.pth')
    path = publish(str(tmp_path / 'a.pth'), tmp_path / 'a.safetensors', backbone_only=True)
    assert load_from_safetensors(str(path))['state_dict'].keys() == weights.keys()
    torch.save(dict(state_dict=head), tmp_path / 'head.pth')
    with pytest.raises(ValueError, match=r'head\.pth contains no weights named backbone\.\*'):
        publish(str(tmp_path / 'head.pth'), tmp_path / 'b.safetensors', backbone_only=True)


def test_file_of_other_software(tmp_path):
    save_file(dict(weight=torch.ones(2)), tmp_path / 'a.safetensors')
    loaded = load_from_safetensors(str(tmp_path / 'a.safetensors'))
    assert loaded['meta'] == {}
    assert torch.equal(loaded['state_dict']['weight'], torch.ones(2))


@pytest.mark.parametrize('meta', ['not JSON', '[1]', '"text"', '{}'])
def test_foreign_header(tmp_path, meta):
    save_file(dict(weight=torch.ones(2)), tmp_path / 'a.safetensors', dict(meta=meta, format='pt'))
    loaded = load_from_safetensors(str(tmp_path / 'a.safetensors'))
    assert loaded['meta'] == {}
    assert torch.equal(loaded['state_dict']['weight'], torch.ones(2))


def test_memory_layouts_and_arrays(tmp_path):
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    metainfo = dict(classes={'b', 'a'}, palette=np.arange(6).reshape(2, 3), size=np.int64(3))
    torch.save(
        dict(state_dict=dict(weight=weight), meta=dict(dataset_meta=metainfo)), tmp_path / 'a.pth'
    )
    loaded = load_from_safetensors(str(publish(str(tmp_path / 'a.pth'), tmp_path / 'a.safetensors')))
    assert torch.equal(loaded['state_dict']['weight'], weight)
    assert loaded['meta']['dataset_meta'] == dict(
        classes=['a', 'b'], palette=[[0, 1, 2], [3, 4, 5]], size=3
    )


def test_meta_that_json_cannot_write(tmp_path):
    meta = dict(dataset_meta=dict(classes=('a',), size=1 + 2j))
    torch.save(dict(state_dict=dict(weight=torch.ones(2)), meta=meta), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'meta data has a complex, .* write a \.pth file'):
        publish(str(tmp_path / 'a.pth'), tmp_path / 'a.safetensors')
    assert publish(str(tmp_path / 'a.pth'), tmp_path / 'b.pth').is_file()


@pytest.mark.parametrize('content', [b'', b'hello', b'\xff' * 100])
def test_damaged_file(tmp_path, content):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.safetensors is damaged or not a safetensors file: .'):
        load_from_safetensors(str(path))


def test_truncated_file(checkpoint, tmp_path):
    path = publish(str(checkpoint), tmp_path / 'a.safetensors')
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r'\.safetensors is damaged'):
        load_from_safetensors(str(path))


def test_errors(checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r'a\.bin must end in one of: \.safetensors, \.pth'):
        publish(str(checkpoint), tmp_path / 'a.bin')
    torch.save(dict(optimizer=dict(lr=1)), tmp_path / 'b.pth')
    with pytest.raises(ValueError, match=r'b\.pth contains no weights'):
        publish(str(tmp_path / 'b.pth'), tmp_path / 'a.safetensors')
    for name in ('absent.pth', 'absent.safetensors'):
        with pytest.raises(FileNotFoundError, match='absent'):
            publish(str(tmp_path / name), tmp_path / 'a.safetensors')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['b.pth', 'epoch_3.pth']
