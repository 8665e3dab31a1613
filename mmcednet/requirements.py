"""Says in one sentence what is missing, or too old, before an import fails somewhere inside."""

from importlib import metadata
from importlib.util import find_spec

# Name of the distribution -> oldest version; the maintained forks add 'onedl-' to the name.
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
    """Check mmengine, which must be there, and the toolboxes that are.

    Raises:
        ImportError: mmengine is missing; a toolbox is too old; both a toolbox and its fork are
            installed, whose files overwrite each other.
    """
    if find_spec('mmengine') is None:
        raise ImportError(f'mmcednet needs mmengine and the toolboxes on it; {INSTALL}')
    for name, oldest in TOOLBOXES.items():
        versions = installed_versions((name, FORKS.get(name, f'onedl-{name}')))
        if len(versions) > 1:
            both = ' and '.join(versions)
            raise ImportError(
                f'{both} are both installed and overwrite each other; uninstall both, then {INSTALL}'
            )
        for found, version in versions.items():
            if release(version) < oldest:
                need = '.'.join(map(str, oldest))
                raise ImportError(
                    f'mmcednet needs {name}>={need}, but {found} {version} is installed; {INSTALL}'
                )


def installed_versions(names: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def release(version: str) -> tuple[int, ...]:
    """'2.1.0rc1' -> (2, 1); versions are compared by their first two numbers."""
    return tuple(int(''.join(filter(str.isdigit, part)) or 0) for part in version.split('.')[:2])
