"""Looks at a folder of images for classification: a folder per class in each split."""

from dataclasses import dataclass
from pathlib import Path

from .label_maps import SPLITS

# Those that mmpretrain's CustomDataset reads
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


@dataclass(frozen=True)
class ClassFolders:
    """A split of a dataset for classification.

    Attributes:
        folder: Has a folder per class.
        images: Class -> its images, in subfolders too; classes are sorted.
    """

    folder: Path
    images: dict[str, list[Path]]

    @property
    def files(self) -> list[Path]:
        """The images of all classes."""
        return [file for images in self.images.values() for file in images]


def find_class_folders(folder: Path) -> dict[str, ClassFolders]:
    """Find the splits 'train' and 'val', and 'test' if there is one: ``SPLIT/CLASS/IMAGE``.

    Raises:
        ValueError: A folder does not exist, a class has no images, or splits have other classes.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    splits: dict[str, ClassFolders] = {}
    for split, words in SPLITS.items():
        found = next((folder / word for word in words if (folder / word).is_dir()), None)
        if found is not None:
            splits[split] = list_images(found)
        elif split != 'test':
            raise ValueError(f'{folder} has no images for {split!r}; expected {split}/CLASS/IMAGE')
    classes = set(splits['train'].images)
    if len(classes) < 2:
        raise ValueError(
            f'{splits["train"].folder} must have a folder for each of 2 classes or more, it has '
            f'{len(classes)}'
        )
    for other in splits.values():
        differing = sorted(classes ^ set(other.images))
        if differing:
            raise ValueError(
                f'{other.folder} and {splits["train"].folder} must have folders for the same classes; '
                f'{differing[0]!r} is in only one of them'
            )
    return splits


def list_images(folder: Path) -> ClassFolders:
    """List the images of each class."""
    images = {
        path.name: [file for file in sorted(path.rglob('*')) if file.suffix.lower() in IMAGE_SUFFIXES]
        for path in sorted(folder.iterdir())
        if path.is_dir()
    }
    empty = [name for name, files in images.items() if not files]
    if empty:
        raise ValueError(f'the class folder {folder / empty[0]} has no images')
    return ClassFolders(folder, images)
