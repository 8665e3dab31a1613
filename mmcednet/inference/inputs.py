"""Inputs of a prediction: finds images, videos and streams, reads their frames."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from mmcednet.checks.data import iter_datasets
from mmcednet.images import IMAGE_ERRORS, IMAGE_SUFFIXES, ImageError, list_images, read_size

from .streams import describe_stream, is_stream, open_stream, read_stream

VIDEOS = {'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg'}
MEDIA = VIDEOS.union(IMAGE_SUFFIXES)
MAX_EXAMPLES = 8


@dataclass(frozen=True)
class Source:
    """A file or stream to predict on.

    Attributes:
        path: The file.
        file_name: Its path in the input folder or its name, such as 'a/b.jpg'; if two files would have
            the same one, the paths of all in the folder that contains them.
        name: Name for outputs: ``file_name`` without its suffix, unless two files differ only in that.
        stream: Number of a camera or address of a stream; None for a file.
    """

    path: Path
    file_name: str
    name: str
    stream: str | None = None

    @property
    def is_video(self) -> bool:
        return self.stream is not None or self.path.suffix.lower() in VIDEOS


@dataclass(frozen=True)
class Frame:
    """An image, or a frame of a video.

    Attributes:
        source: The file.
        index: Number of the frame in its video, from 0; None for an image.
        image: (H, W, 3), uint8, BGR.
        fps: Frames per second of the video; 0 if it does not say.
    """

    source: Source
    index: int | None
    image: np.ndarray
    fps: float = 0.0

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

    Cameras and streams, which may have no end, come last.

    Args:
        inputs: Files, folders (searched with their subfolders, but not hidden ones), glob patterns,
            numbers of cameras, and addresses of streams.

    Raises:
        ValueError: One of them does not exist, matches nothing, has no images or videos, or cannot be
            opened.
    """
    streams = find_streams([name for name in inputs if is_stream(name)])
    inputs = [name for name in inputs if not is_stream(name)]
    found = {Path(os.path.abspath(path)): short for name in inputs for path, short in find_files(name)}
    file_names = [short.as_posix() for short in found.values()]
    if len(set(file_names)) < len(file_names):  # a/x.jpg and b/x.jpg
        common = os.path.commonpath([path.parent for path in found])
        file_names = [path.relative_to(common).as_posix() for path in found]
    names = [str(Path(name).with_suffix('')) for name in file_names]
    if len(set(names)) < len(names):  # a.jpg and a.png
        names = file_names
    return [Source(*item) for item in zip(found, file_names, names)] + streams


def find_streams(inputs: Sequence[str]) -> list[Source]:
    """Check that cameras and streams can be opened, and name their outputs."""
    sources = []
    for number, name in enumerate(dict.fromkeys(inputs), 1):
        open_stream(name).release()
        short = f'camera{name}' if name.isdecimal() else f'stream{number}'
        sources.append(Source(Path(name), describe_stream(name), short, name))
    return sources


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
    media = sorted(item for item in found.items() if item[0].suffix.lower() in MEDIA)
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


def count_frames(sources: Sequence[Source]) -> int | None:
    """Number of images, and of frames of videos by their headers; None with a stream."""
    if any(source.stream is not None for source in sources):
        return None
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
    number = 0
    if source.stream is not None:
        print(f'{source.file_name} is read; Ctrl-C ends it', flush=True)
        for number, (image, fps) in enumerate(read_stream(source.stream), 1):
            yield Frame(source, number - 1, image, fps)
        if number == 0:
            problems.skip(source, 'it has no frames that could be read')
        return
    reader = mmcv.VideoReader(str(source.path))
    for number, image in enumerate(reader, 1):
        yield Frame(source, number - 1, image, reader.fps)
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


def list_examples(folder: Path) -> list[Path]:
    """List the first pictures of a folder.

    Raises:
        ValueError: It does not exist or has no images.
    """
    images = list_images(folder)
    if not images:
        raise ValueError(f'the folder of examples {folder} has no images')
    return images[:MAX_EXAMPLES]


def find_validation_images(cfg: Config) -> list[Path]:
    """Choose validation images of a config, evenly from all, as neighbours are often alike.

    Args:
        cfg: Config whose toolbox is the default scope.

    Returns:
        At most eight files; none if the data set is not on this machine.
    """
    files: set[Path] = set()
    for config in iter_datasets(cfg.get('val_dataloader')):
        try:
            dataset = DATASETS.build(dict(config, pipeline=[], lazy_init=False))
        except (AssertionError, OSError):  # mmseg asserts that its list of files exists
            continue
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        files |= {Path(info['img_path']) for info in infos}
    found = sorted(path for path in files if path.is_file())
    chosen = np.linspace(0, len(found) - 1, min(len(found), MAX_EXAMPLES)).round().astype(int)
    return [found[index] for index in chosen]
