"""Weights that come with the package, and what ``--pretrained`` may name."""

from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader

from mmcednet.models.utils import check_choice

from .safetensors_reader import load_from_safetensors

SCHEME = 'mmcednet://'  # of their addresses, which a config may contain on any machine
FOLDER = Path(__file__).parent / 'weights'
# Name, that of the network in tools/new_config.py --arch -> file; README.md beside it describes it
SHIPPED = {'nano': 'nano-f0c8a004.safetensors'}


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_shipped(address: str, map_location: Any = None) -> dict[str, Any]:
    """Read weights that come with the package as mmengine reads a checkpoint.

    Args:
        address: 'mmcednet://NAME', with one of the names in ``SHIPPED``.
        map_location: Ignored; the tensors are on the CPU.

    Raises:
        ValueError: There are no weights of this name.
    """
    name = check_choice('the name of weights', address.removeprefix(SCHEME), SHIPPED)
    return load_from_safetensors(str(FOLDER / SHIPPED[name]))


def find_pretrained(given: str) -> str:
    """Find the initial weights that ``--pretrained`` names.

    Args:
        given: A name in ``SHIPPED``, a file, or an address of mmengine's loader such as 'https://...'.

    Returns:
        The address of shipped weights, the file's absolute path, or ``given``.

    Raises:
        ValueError: It is none of these.
    """
    if given in SHIPPED:
        return SCHEME + given
    if '://' in given:
        return given
    if not Path(given).is_file():
        raise ValueError(
            f'--pretrained {given} does not exist; mmcednet comes with weights named: '
            f'{", ".join(SHIPPED)}'
        )
    return str(Path(given).absolute())
