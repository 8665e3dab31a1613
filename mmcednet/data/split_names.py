"""Names of the parts of a data set, as its files and folders have them."""

import re
from pathlib import Path

# Split -> names of its folders and lists; Roboflow's is 'valid'
SPLIT_NAMES = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation'),
    'test': ('test', 'testing'),
}


def get_split(path: Path, folder: Path) -> str | None:
    """Split with which a word of a path begins, the innermost part first; None if there is none.

    So ``trainset`` and ``instances_val2017`` are of splits, ``latest`` and ``interval`` are not.
    """
    for part in reversed(path.relative_to(folder).with_suffix('').parts):
        for split in SPLIT_NAMES:
            if re.search(rf'(?<![a-z]){split}', part.lower()):
                return split
    return None
