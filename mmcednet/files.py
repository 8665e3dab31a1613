"""Output files and folders that appear only once they are complete, and text files of users."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: It has another encoding.
    """
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f'{path} must be a text file in UTF-8') from None


def read_names(path: Path) -> list[str]:
    """Read the names of classes, one a line, whose order says which is which.

    Raises:
        ValueError: A line before another one is empty, or it has another encoding than UTF-8.
    """
    names = [line.strip() for line in read_text(path).rstrip().splitlines()]
    if '' in names:
        number = names.index('') + 1
        raise ValueError(f'{path}: line {number} must be the name of a class, but is empty')
    return names


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, with the same suffix, and rename it on success.

    Missing parent folders are created. On an exception the temporary file is removed and a file that
    exists at ``path`` is left as it is.

    Raises:
        OSError: For example, the disk is full; it names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.stem}.unfinished{path.suffix}')
    try:
        yield temporary
        with temporary.open('rb') as file:
            os.fsync(file.fileno())  # otherwise a power cut could leave the name without the content
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Check that files can be written to a folder, which is created.

    Raises:
        ValueError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f'the work dir {folder} cannot be written to: {error.strerror}') from None


def check_new_file(path: Path) -> None:
    """Check that no file would be overwritten.

    Raises:
        ValueError: ``path`` exists.
    """
    if path.exists():
        raise ValueError(f'{path} exists already; remove it, or choose another name')


def check_new_folder(path: Path) -> None:
    """Check that nothing would be overwritten.

    Raises:
        ValueError: ``path`` exists and is not an empty folder, or file systems are mounted there, so
            that no folder can be renamed to it.
    """
    if path.resolve().is_mount():
        raise ValueError(f'{path} is where a file system is mounted; choose a folder in it')
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ValueError(f'{path} exists already; choose a name that is not used yet')


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` and rename it on success; on an exception it is removed.

    Missing parent folders are created.

    Raises:
        ValueError: ``path`` exists already and is not an empty folder.
    """
    path = path.resolve()  # a link to an empty folder stays one
    check_new_folder(path)
    temporary = path.with_name(f'.{path.name}.unfinished')
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
