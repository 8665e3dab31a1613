"""Checks on import that mmengine is installed and that the installed toolboxes are compatible."""

from importlib import metadata
from importlib.util import find_spec

# Name of the distribution -> minimum version; the maintained forks add 'onedl-' to the name.
TOOLBOXES = {
    'mmengine': (0, 10),
    'mmcv': (2, 1),
    'mmdet': (3, 3),
    'mmsegmentation': (1, 2),
    'mmpretrain': (1, 2),
}
FORKS = {'mmdet': 'onedl-mmdetection'}
INSTALL = 'install one set of them: pip install "mmcednet[onedl]" or pip install "mmcednet[openmmlab]"'


def check_requirements() -> None:
    """Check that mmengine is installed and that the installed toolboxes are recent enough.

    Raises:
        ImportError: mmengine is missing; a toolbox is too old; both a toolbox and its fork are
            installed, whose files overwrite each other.
    """
    if find_spec('mmengine') is None:
        raise ImportError(
            f'mmcednet requires mmengine, and mmdet, mmsegmentation or mmpretrain to train; {INSTALL}'
        )
    for name, minimum in TOOLBOXES.items():
        versions = find_installed_versions((name, FORKS.get(name, f'onedl-{name}')))
        if len(versions) > 1:
            both = ' and '.join(versions)
            raise ImportError(
                f'{both} are both installed and overwrite each other; uninstall both, then {INSTALL}'
            )
        for found, version in versions.items():
            if parse_release(version) < minimum:
                required = '.'.join(map(str, minimum))
                raise ImportError(
                    f'mmcednet requires {name}>={required}, but {found} {version} is installed; '
                    f'{INSTALL}'
                )


def find_installed_versions(names: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def parse_release(version: str) -> tuple[int, ...]:
    """'2.1.0rc1' -> (2, 1); versions are compared by their first two numbers."""
    return tuple(int(''.join(filter(str.isdigit, part)) or 0) for part in version.split('.')[:2])
