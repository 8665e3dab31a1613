"""Output files and folders appear only once they are complete."""

from pathlib import Path

import pytest

from mmcednet.files import atomic_folder, atomic_write, check_new_folder


def test_atomic_write_creates_folders_and_replaces_files(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    for text in ('first', 'second'):
        with atomic_write(path) as temporary:
            assert temporary.suffix == '.txt'
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text('half')
        raise RuntimeError
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder_appears_when_complete(tmp_path):
    path = tmp_path / 'new' / 'out'
    with atomic_folder(path) as temporary:
        (temporary / 'a.txt').write_text('new')
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ['a.txt']
    assert list(path.parent.iterdir()) == [path]


def test_atomic_folder_in_a_linked_one(tmp_path):
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'out').symlink_to(tmp_path / 'disk')
    with atomic_folder(tmp_path / 'out') as temporary:
        (temporary / 'a.txt').write_text('new')
    assert (tmp_path / 'out').is_symlink()
    assert (tmp_path / 'disk' / 'a.txt').read_text() == 'new'


def test_atomic_folder_cannot_be_a_mount_point():
    with pytest.raises(ValueError, match='/proc is where a file system is mounted; choose a folder in'):
        check_new_folder(Path('/proc'))


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / 'out') as temporary:
        (temporary / 'a.txt').write_text('half')
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_atomic_folder_overwrites_nothing(tmp_path):
    (tmp_path / 'a.txt').write_text('old')
    with pytest.raises(ValueError, match='exists already'), atomic_folder(tmp_path):
        pass
    with pytest.raises(ValueError, match='exists already'), atomic_folder(tmp_path / 'a.txt'):
        pass
    assert (tmp_path / 'a.txt').read_text() == 'old'
    assert [file.name for file in tmp_path.iterdir()] == ['a.txt']
