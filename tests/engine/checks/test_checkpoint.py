"""Checkpoints of other models are reported before a run starts."""

import pytest
import torch

from mmcednet.engine.checks import check_checkpoint
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
