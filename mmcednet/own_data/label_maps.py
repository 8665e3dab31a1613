"""Looks at a folder of images and label maps."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from mmcednet.data.split_names import SPLIT_NAMES
from mmcednet.images import find_values, list_images, read_label_map

IMAGE_FOLDERS = ('images', 'img_dir', '.')
LABEL_FOLDERS = ('annotations', 'ann_dir', 'labels', 'masks')
LABEL_SUFFIX = '.png'


@dataclass(frozen=True)
class LabelledImages:
    """A split of a dataset for segmentation.

    Attributes:
        images: Folder of the images.
        labels: Folder of the label maps, with the same names.
        suffix: Suffix of the images.
        names: Names of the images, without suffix.
    """

    images: Path
    labels: Path
    suffix: str
    names: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """The images."""
        return [self.images / f'{name}{self.suffix}' for name in self.names]


def find_label_maps(folder: Path) -> dict[str, LabelledImages]:
    """Find the images and label maps of the splits 'train' and 'val', and of 'test' if it has some.

    Images are in ``images/SPLIT``, ``img_dir/SPLIT`` or ``SPLIT``; label maps in ``annotations/SPLIT``,
    ``ann_dir/SPLIT``, ``labels/SPLIT`` or ``masks/SPLIT``, as PNG files of the same names.

    Raises:
        ValueError: A folder, an image or a label map does not exist.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    splits = {}
    for split, words in SPLIT_NAMES.items():
        # many datasets come with test images, but without their label maps
        if split == 'test' and not any((folder / path).is_dir() for path in join(LABEL_FOLDERS, words)):
            continue
        splits[split] = pair_files(
            choose_folder(folder, IMAGE_FOLDERS, words, f'images for {split!r}'),
            choose_folder(folder, LABEL_FOLDERS, words, f'label maps for {split!r}'),
        )
    return splits


def has_label_maps(folder: Path) -> bool:
    """Whether a folder has label maps for training where :func:`find_label_maps` looks for them."""
    paths = (folder / path for path in join(LABEL_FOLDERS, SPLIT_NAMES['train']))
    return any(next(path.glob(f'*{LABEL_SUFFIX}'), None) for path in paths)


def join(parents: tuple[str, ...], words: tuple[str, ...]) -> list[Path]:
    return [Path(parent) / word for parent in parents for word in words]


def choose_folder(folder: Path, parents: tuple[str, ...], words: tuple[str, ...], what: str) -> Path:
    candidates = join(parents, words)
    for candidate in candidates:
        if (folder / candidate).is_dir():
            return folder / candidate
    raise ValueError(f'{folder} has no {what}; expected one of: {", ".join(map(str, candidates))}')


def pair_files(images: Path, labels: Path) -> LabelledImages:
    """Check that each image has a label map."""
    files = list_images(images)
    if not files:
        raise ValueError(f'{images} has no images')
    suffixes = Counter(path.suffix for path in files)
    if len(suffixes) > 1:
        raise ValueError(f'the images in {images} must have one suffix, they have {dict(suffixes)}')
    missing = [path.stem for path in files if not (labels / f'{path.stem}{LABEL_SUFFIX}').is_file()]
    if missing:
        name = labels / f'{missing[0]}{LABEL_SUFFIX}'
        raise ValueError(f'{len(missing)} images of {images} have no label map, the first is {name}')
    return LabelledImages(images, labels, files[0].suffix, tuple(path.stem for path in files))


def find_values_of(split: LabelledImages) -> dict[int, Path]:
    """Read all label maps: each value in them -> the first file that has it.

    Raises:
        ValueError: A label map cannot be read or has more than one channel.
    """
    found: dict[int, Path] = {}
    for name in track(split.names, 'reading label maps'):
        path = split.labels / f'{name}{LABEL_SUFFIX}'
        found = dict.fromkeys(find_values(read_label_map(path)), path) | found
    return found
