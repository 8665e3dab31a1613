"""Output files appear only once they are complete."""

import pytest

from mmcednet.engine.files import atomic_write


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
