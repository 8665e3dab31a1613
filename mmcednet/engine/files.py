"""Output files and folders that appear only once they are complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, with the same suffix, and rename it on success.

    Missing parent folders are created. On an exception the temporary file is removed and a file that
    exists at ``path`` is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.stem}.unfinished{path.suffix}')
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_new_folder(path: Path) -> None:
    """Check that nothing would be overwritten.

    Raises:
        ValueError: ``path`` exists and is not an empty folder.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ValueError(f'{path} exists already; choose a name that is not used yet')


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` and rename it on success; on an exception it is removed.

    Missing parent folders are created.

    Raises:
        ValueError: ``path`` exists already and is not an empty folder.
    """
    check_new_folder(path)
    temporary = path.with_name(f'.{path.name}.unfinished')
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
