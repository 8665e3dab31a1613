"""The checkpoint that a training resumes from."""

import logging
import zipfile
from pathlib import Path

from mmengine.logging import print_log

from .loading import load_checkpoint
from .saving import INTERRUPTED, POINTER

WRITTEN = ('epoch_', 'iter_', 'best_', INTERRUPTED)  # how the names of a training's checkpoints start


def find_resumable(work_dir: Path) -> Path | None:
    """Find the latest checkpoint of a work dir that can be resumed; damaged ones are reported.

    Raises:
        ValueError: There are checkpoints, but none can be read.
    """
    damaged = []
    for path in list_checkpoints(work_dir):
        try:
            check_sums(path)
            if 'message_hub' in load_checkpoint(str(path)):
                return path
        except ValueError as error:
            damaged.append(path)
            print_log(f'{error}; looking for the one before', 'current', logging.WARNING)
    if damaged:
        raise ValueError(
            f'none of the checkpoints of {work_dir} can be resumed, the latest is {damaged[0]}; to '
            f'start again, choose another --work-dir'
        )
    return None


def check_no_training(work_dir: Path, resumable: bool = True) -> None:
    """Check that a new training would not overwrite an earlier one's checkpoints.

    Args:
        work_dir: Folder of the new training.
        resumable: Whether the earlier one might be resumed. Default: True.

    Raises:
        ValueError: The work dir has some.
    """
    found = [path for path in work_dir.glob('*.pth') if path.name.startswith(WRITTEN)]
    if found:
        latest = max(found, key=lambda path: path.stat().st_mtime)
        resume = 'continue it with --resume, or ' if resumable else 'it cannot be resumed; '
        raise ValueError(
            f'{work_dir} has the checkpoints of a training, the latest is {latest.name}: {resume}'
            f'choose another --work-dir for a new one'
        )


def check_sums(path: Path) -> None:
    """Check the sums of a checkpoint's parts, which torch does not compare.

    Raises:
        ValueError: One differs from that of the content.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        damaged = str(error)
    if damaged:
        raise ValueError(f'{path} cannot be read as a checkpoint: it is damaged ({damaged})')


def list_checkpoints(work_dir: Path) -> list[Path]:
    """Checkpoints of a work dir, the latest first."""
    paths = [path for path in work_dir.glob('*.pth') if not path.name.startswith(('best_', '.'))]
    paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    pointer = work_dir / POINTER
    if pointer.is_file():
        # by its name, as the folder may have been moved
        latest = work_dir / Path(pointer.read_text().strip()).name
        paths.sort(key=lambda path: path != latest)
    return paths
