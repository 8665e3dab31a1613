"""Labels of Tiny ImageNet's validation images, in the format of mmpretrain's ``CustomDataset``."""

from pathlib import Path

from mmcednet.files import atomic_write


def write_val_labels(folder: Path) -> Path:
    """Write ``val.txt``: the name and the label of each validation image.

    Labels are the positions of the classes among the sorted folders of ``train/``, as ``CustomDataset``
    numbers them.

    Args:
        folder: Contains ``train/``, a folder per class, and ``val/`` with ``val_annotations.txt`` and
            ``images/``.

    Returns:
        The written file.

    Raises:
        ValueError: A file, folder or image is missing, an image's class has no folder, or a line of the
            annotations has no class.
    """
    source = folder / 'val' / 'val_annotations.txt'
    train = folder / 'train'
    for path in (train, source):
        if not path.exists():
            raise ValueError(f'{path} does not exist; {folder} must be the folder of Tiny ImageNet')
    classes = sorted(path.name for path in train.iterdir() if path.is_dir())
    labels = {name: label for label, name in enumerate(classes)}
    annotations = read_annotations(source)
    for image, name in annotations:
        if name not in labels:
            raise ValueError(f'{source} has {image} of class {name}, which has no folder in {train}')
    images = folder / 'val' / 'images'
    missing = [image for image, _ in annotations if not (images / image).is_file()]
    if missing:
        raise ValueError(
            f'{images} lacks {len(missing)} of the {len(annotations)} images that {source} names, the '
            f'first is {missing[0]}'
        )
    target = folder / 'val.txt'
    with atomic_write(target) as temporary:
        temporary.write_text(''.join(f'{image} {labels[name]}\n' for image, name in annotations))
    return target


def read_annotations(source: Path) -> list[tuple[str, str]]:
    """Name and class of each validation image.

    Raises:
        ValueError: A line has no tab between them.
    """
    annotations = []
    for number, line in enumerate(source.read_text().splitlines(), 1):
        if not line.strip():
            continue
        image, tab, rest = line.partition('\t')
        if not tab:
            raise ValueError(
                f'{source}, line {number}: {line!r} must be an image and its class, with a tab between'
            )
        annotations.append((image, rest.split('\t')[0]))
    return annotations
