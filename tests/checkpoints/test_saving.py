import pytest

from mmcednet.checkpoints.saving import AtomicBackend, LateRemoval


def test_backend_leaves_no_half_files(tmp_path):
    backend = AtomicBackend()
    backend.put(b'first', tmp_path / 'a' / 'x.pth')
    backend.put_text('second', tmp_path / 'y.txt')
    assert (tmp_path / 'a' / 'x.pth').read_bytes() == b'first'
    assert (tmp_path / 'y.txt').read_text() == 'second'
    with pytest.raises(TypeError):
        backend.put('no bytes', tmp_path / 'a' / 'x.pth')
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['x.pth']
    assert (tmp_path / 'a' / 'x.pth').read_bytes() == b'first'


def test_outdated_files_stay_until_their_successor_is_there(tmp_path):
    old = tmp_path / 'old.pth'
    old.touch()
    backend = LateRemoval()
    backend.remove(old)
    assert old.exists()
    backend.remove_outdated()
    assert not old.exists()
