"""Inputs of a prediction: finds images and videos, reads their frames."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import Config

from mmcednet.checks.data import get_image_folder, iter_datasets
from mmcednet.images import IMAGE_ERRORS, ImageError, read_size

IMAGES = {'.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp'}  # as mmdet's
VIDEOS = {'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg'}
MAX_EXAMPLES = 8


@dataclass(frozen=True)
class Source:
    """A file to predict on.

    Attributes:
        path: The file.
        file_name: Its path in the input folder or its name, such as 'a/b.jpg'; if two files would have
            the same one, the paths of all in the folder that contains them.
        name: Name for outputs: ``file_name`` without its suffix, unless two files differ only in that.
    """

    path: Path
    file_name: str
    name: str

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


@dataclass(frozen=True)
class Frame:
    """An image, or a frame of a video.

    Attributes:
        source: The file.
        index: Number of the frame in its video, from 0; None for an image.
        image: (H, W, 3), uint8, BGR.
    """

    source: Source
    index: int | None
    image: np.ndarray

    @property
    def input(self) -> str | np.ndarray:
        """What an inferencer gets: the path of an image, which it reads itself, or a video's frame."""
        return str(self.source.path) if self.index is None else self.image


@dataclass
class Problems:
    """Files that could not be read, or not to their end."""

    unreadable: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)

    def skip(self, source: Source, reason: object) -> None:
        """Note a file that could not be read, or not be predicted on, and warn of it."""
        if source.file_name in self.unreadable:  # an earlier frame of the video
            return
        self.unreadable.append(source.file_name)
        warn(f'{source.file_name} is skipped: {" ".join(str(reason).split())}')

    def describe(self, total: int) -> str:
        """One sentence; an empty string if there are no problems.

        Args:
            total: Number of all files.
        """
        sentences = list(self.incomplete)
        if self.unreadable:
            names = ', '.join(self.unreadable[:20])
            more = len(self.unreadable) - 20
            names += f' and {more} more' if more > 0 else ''
            sentences.insert(0, f'{len(self.unreadable)} of {total} files could not be read: {names}')
        return '; '.join(sentences)


def warn(text: str) -> None:
    """Write a warning to stderr."""
    print(f'warning: {text}', file=sys.stderr, flush=True)


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """Find images and videos, in the order of ``inputs`` and by name within a folder or pattern.

    Args:
        inputs: Files, folders (searched with their subfolders, but not hidden ones), and glob patterns.

    Raises:
        ValueError: One of them does not exist, matches nothing, or has no images or videos.
    """
    found = {Path(os.path.abspath(path)): short for name in inputs for path, short in find_files(name)}
    file_names = [short.as_posix() for short in found.values()]
    if len(set(file_names)) < len(file_names):  # a/x.jpg and b/x.jpg
        common = os.path.commonpath([path.parent for path in found])
        file_names = [path.relative_to(common).as_posix() for path in found]
    names = [str(Path(name).with_suffix('')) for name in file_names]
    if len(set(names)) < len(names):  # a.jpg and a.png
        names = file_names
    return [Source(*item) for item in zip(found, file_names, names)]


def find_files(name: str) -> list[tuple[Path, Path]]:
    """The images and videos of one input, with their path in its folder or their name.

    A file that is named explicitly may have any suffix.
    """
    path = Path(name)
    if path.is_file():
        return [(path, Path(path.name))]
    if path.is_dir():
        files = [Path(folder, file) for folder, _, files in os.walk(path) for file in files]
        found = {file: file.relative_to(path) for file in files}
        found = {file: short for file, short in found.items() if not is_hidden(short)}
        where = f'the folder {name}'
    elif has_magic(name):
        files = [Path(file) for file in glob(name, recursive=True)]
        found = {file: Path(file.name) for file in files if file.is_file()}
        where = f'the pattern {name}'
    else:
        raise ValueError(f'{name} does not exist')
    if not found:
        raise ValueError(f'{where} {"is empty" if path.is_dir() else "matches no file"}')
    media = sorted(item for item in found.items() if item[0].suffix.lower() in IMAGES | VIDEOS)
    if not media:
        raise ValueError(f'{where} has no images or videos, only files such as {min(found).name}')
    return media


def is_hidden(path: Path) -> bool:
    return any(part.startswith('.') for part in path.parts)


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as the toolboxes do, rotated as its EXIF data says.

    Returns:
        (H, W, 3), uint8, BGR.

    Raises:
        ImageError: The file is not an image, is damaged, or has too many pixels, see ``read_size``.
    """
    read_size(path)
    try:
        image = mmcv.imfrombytes(Path(path).read_bytes())
    except IMAGE_ERRORS:
        image = None
    if image is None:
        raise ImageError(f'{Path(path).name} could not be read as an image')
    return image


def count_frames(sources: Sequence[Source]) -> int:
    """Number of images, and of frames of videos by their headers."""
    return sum(
        max(mmcv.VideoReader(str(source.path)).frame_cnt, 1) if source.is_video else 1
        for source in sources
    )


def iter_frames(sources: Sequence[Source], problems: Problems) -> Iterator[Frame]:
    """Read all images and videos; files that cannot be read are added to ``problems`` and skipped."""
    for source in sources:
        if source.is_video:
            yield from iter_video(source, problems)
            continue
        try:
            image = read_image(source.path)
        except ImageError as error:
            problems.skip(source, error)
        else:
            yield Frame(source, None, image)


def iter_video(source: Source, problems: Problems) -> Iterator[Frame]:
    reader = mmcv.VideoReader(str(source.path))
    number = 0
    for number, image in enumerate(reader, 1):
        yield Frame(source, number - 1, image)
    if number == 0:
        problems.skip(source, 'it has no frames that could be read')
    # Some containers have a duration only, which rounds to one frame too many.
    elif number < reader.frame_cnt - 1:
        problems.incomplete.append(
            f'{source.file_name} ends early: {number} of {reader.frame_cnt} frames could be read'
        )


def iter_batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    """Group consecutive frames of one shape: padding to another image's shape changes predictions."""
    batch: list[Frame] = []
    for frame in frames:
        if batch and (len(batch) == size or frame.image.shape != batch[0].image.shape):
            yield batch
            batch = []
        batch.append(frame)
    if batch:
        yield batch


def find_examples(cfg: Config, folder: Path | None) -> list[Path]:
    """Find pictures to choose from: in a folder, or the config's validation images if they exist.

    Raises:
        ValueError: ``folder`` does not exist or has no images.
    """
    folders = (
        [folder]
        if folder
        else map(Path, map(get_image_folder, iter_datasets(cfg.get('val_dataloader'))))
    )
    for path in folders:
        files = sorted(path.iterdir()) if path.is_dir() else []
        images = [file for file in files if file.suffix.lower() in IMAGES]
        if images:
            return images[:MAX_EXAMPLES]
    if folder:
        raise ValueError(f'the folder of examples {folder} has no images')
    return []
