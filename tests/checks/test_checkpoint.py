"""Checkpoints of other models are reported before a run starts."""

import pytest
import torch

from mmcednet.checkpoints.loading import get_classes
from mmcednet.checks import check_checkpoint
from mmcednet.checks.checkpoint import check_checkpoint_classes
from mmcednet.models import CEDNet


def test_checkpoints(small, tmp_path):
    model = CEDNet(small)
    path = str(tmp_path / 'model.pth')
    torch.save(dict(state_dict={f'module.{k}': v for k, v in model.state_dict().items()}), path)
    check_checkpoint(model, path)
    small['channels'] = (8, 16, 24, 40)
    with pytest.raises(ValueError, match=r'model\.pth does not fit the model: .* needs'):
        check_checkpoint(CEDNet(small), path)
    with pytest.raises(ValueError, match=r'model\.pth is not a checkpoint of this model: pyramid'):
        check_checkpoint(CEDNet(dict(small, channels=(8, 16, 24, 32)), pyramid=dict()), path)


@pytest.mark.parametrize('content', [b'', b'hello', b'PK\x03\x04 a damaged archive'])
def test_damaged_files(tmp_path, content):
    path = tmp_path / 'model.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'model\.pth cannot be read as a checkpoint: .'):
        check_checkpoint(torch.nn.Linear(1, 1), str(path))


def test_file_of_something_else(tmp_path):
    path = str(tmp_path / 'model.pth')
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r'model\.pth is not a checkpoint: it contains a list'):
        check_checkpoint(torch.nn.Linear(1, 1), path)


def test_classes():
    assert get_classes(dict(state_dict={})) is None
    loaded = dict(meta=dict(dataset_meta=dict(classes=['disc', 'star'])))
    assert get_classes(loaded) == ('disc', 'star')
    check_checkpoint_classes(('disc', 'star'), ('disc', 'star'), 'x.pth')
    with pytest.raises(
        ValueError, match=r"x\.pth .* its class 1 is 'star', that of the config 'cube'$"
    ):
        check_checkpoint_classes(('disc', 'star'), ('disc', 'cube'), 'x.pth')
    with pytest.raises(
        ValueError, match=r'2 classes \(disc, star\), but the config has 5 \(0, 1, 2, 3, '
    ):
        check_checkpoint_classes(('disc', 'star'), tuple('01234'), 'x.pth')
