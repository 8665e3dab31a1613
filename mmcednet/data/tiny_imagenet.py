"""Labels of Tiny ImageNet's validation images, in the format of mmpretrain's ``CustomDataset``."""

from pathlib import Path

from mmcednet.files import atomic_write


def write_val_labels(folder: Path) -> Path:
    """Write ``val.txt``: the name and the label of each validation image.

    Labels are the positions of the classes among the sorted folders of ``train/``, as ``CustomDataset``
    numbers them.

    Args:
        folder: Contains ``train/``, a folder per class, and ``val/val_annotations.txt``.

    Returns:
        The written file.

    Raises:
        ValueError: A file or folder is missing, or an image's class has no folder.
    """
    source = folder / 'val' / 'val_annotations.txt'
    train = folder / 'train'
    for path in (train, source):
        if not path.exists():
            raise ValueError(f'{path} does not exist; {folder} must be the folder of Tiny ImageNet')
    classes = sorted(path.name for path in train.iterdir() if path.is_dir())
    labels = {name: label for label, name in enumerate(classes)}
    lines = []
    for line in source.read_text().splitlines():
        image, name = line.split('\t')[:2]
        if name not in labels:
            raise ValueError(f'{source} has {image} of class {name}, which has no folder in {train}')
        lines.append(f'{image} {labels[name]}\n')
    target = folder / 'val.txt'
    with atomic_write(target) as temporary:
        temporary.write_text(''.join(lines))
    return target
