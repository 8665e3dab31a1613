"""Looks at a folder of images for classification: a folder per class in each split."""

from dataclasses import dataclass
from pathlib import Path

from mmcednet.data.split_names import SPLIT_NAMES
from mmcednet.images import list_images

from .other_formats import write_command


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
        ValueError: A folder does not exist, a class has no images, splits have other classes, or images
            are in no class folder, as those of Tiny ImageNet for validation.
    """
    if not folder.is_dir():
        raise ValueError(f'the folder {folder} does not exist')
    refuse_tiny_imagenet(folder)
    splits: dict[str, ClassFolders] = {}
    for split, words in SPLIT_NAMES.items():
        found = next((folder / word for word in words if (folder / word).is_dir()), None)
        if found is not None:
            splits[split] = read_class_folders(found)
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


def refuse_tiny_imagenet(folder: Path) -> None:
    """Raise an error for Tiny ImageNet, whose images for validation are in one folder.

    Raises:
        ValueError: It is; the message is what to do with it.
    """
    labels = folder / 'val' / 'val_annotations.txt'
    if labels.is_file():
        raise ValueError(
            f'{labels} is of Tiny ImageNet: convert it with {write_command("tiny-imagenet", folder)} '
            f'(tools/dataset_converters/tiny_imagenet.py), and train '
            f'configs/imagenet/cednet_nano_tiny_imagenet.py'
        )


def read_class_folders(folder: Path) -> ClassFolders:
    """List the images of each class."""
    loose = list_images(folder)
    if loose:
        raise ValueError(
            f'{loose[0]} must be in the folder of its class, {folder}/CLASS/{loose[0].name}'
        )
    hidden = next((path for path in folder.iterdir() if path.is_dir() and path.name[0] == '.'), None)
    if hidden:
        raise ValueError(f'{hidden} would be a class; remove this hidden folder')
    images = {
        path.name: list_images(path, deep=True) for path in sorted(folder.iterdir()) if path.is_dir()
    }
    empty = [name for name, files in images.items() if not files]
    if empty:
        raise ValueError(f'the class folder {folder / empty[0]} has no images')
    return ClassFolders(folder, images)
