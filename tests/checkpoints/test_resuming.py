import os
from pathlib import Path

import pytest
import torch

from mmcednet.checkpoints.resuming import check_no_training, find_resumable, list_checkpoints
from mmcednet.checkpoints.saving import POINTER, point_to


def save(path: Path, **content) -> Path:
    torch.save(dict(state_dict=dict(weight=torch.ones(3)), **content), path)
    return path


@pytest.fixture
def work(tmp_path):
    """Three checkpoints, the pointer at the second."""
    for index, name in enumerate(['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']):
        path = save(tmp_path / name, message_hub={})
        os.utime(path, (index, index))
    save(tmp_path / 'best_mAP_epoch_1.pth', message_hub={})
    point_to(tmp_path / 'epoch_2.pth', tmp_path)
    return tmp_path


def test_latest_first(work):
    names = [path.name for path in list_checkpoints(work)]
    assert names == ['epoch_2.pth', 'epoch_3.pth', 'epoch_1.pth']
    assert find_resumable(work) == work / 'epoch_2.pth'


def test_folder_was_moved(work, tmp_path):
    moved = work.rename(tmp_path.parent / f'{tmp_path.name}_moved')
    assert find_resumable(moved) == moved / 'epoch_2.pth'


def test_damaged_and_published_ones_are_left_out(work, capsys):
    (work / 'epoch_2.pth').write_bytes(b'PK damaged')
    save(work / 'epoch_3.pth')  # weights only
    assert find_resumable(work) == work / 'epoch_1.pth'
    (work / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(ValueError, match=r'none of the checkpoints of .* latest is .*epoch_2.pth; to'):
        find_resumable(work)


def test_nothing_to_resume(tmp_path):
    assert find_resumable(tmp_path) is None
    (tmp_path / POINTER).write_text('')  # mmengine was killed while it wrote this
    assert find_resumable(tmp_path) is None


@pytest.mark.parametrize(
    'name', ['epoch_3.pth', 'iter_800.pth', 'interrupted.pth', 'best_mIoU_epoch_2.pth']
)
def test_a_new_training_overwrites_none(tmp_path, name):
    check_no_training(tmp_path / 'missing')
    save(tmp_path / 'nano.pth')  # of the user
    check_no_training(tmp_path)
    save(tmp_path / name)
    with pytest.raises(ValueError, match=f'the latest is {name}: continue it with --resume, or choose'):
        check_no_training(tmp_path)
    with pytest.raises(ValueError, match=f'the latest is {name}: it cannot be resumed; choose another'):
        check_no_training(tmp_path, resumable=False)
