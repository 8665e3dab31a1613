"""Config files: found, read, and written with comments, formatted, and only if they can be loaded."""

import keyword
import textwrap
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcednet.files import atomic_write, check_new_file

WIDTH = 104
SUFFIXES = ('.py', '.json', '.yaml', '.yml')  # of configs that mmengine reads
TOOLBOXES = ('mmdet', 'mmseg', 'mmpretrain')


def read_config(config: str) -> Config:
    """Read a config; see :func:`find_config`.

    A config whose types are classes, as in mmengine's pure Python configs, may have no default scope:
    it gets its model's toolbox.

    Raises:
        ValueError: It does not exist or load, or its toolbox is not installed.
    """
    path = find_config(config)
    if path.suffix not in SUFFIXES:
        raise ValueError(f'{config} is no config, which ends in one of: {", ".join(SUFFIXES)}')
    try:
        cfg = Config.fromfile(path)
        list(iter_dicts(list(cfg.values())))  # imports the classes, which mmengine does on use
    except Exception as error:  # a config is Python
        cause = error.__cause__ or error  # of an import, mmengine's own error lists sys.path
        reason = ' '.join(f'{type(cause).__name__}: {cause}'.split())
        raise ValueError(f'config {config} does not load: {reason}') from error
    kind = (cfg.get('model') or {}).get('type')
    toolbox = str(getattr(kind, '__module__', kind)).partition('.')[0]
    if cfg.get('default_scope') is None and toolbox in TOOLBOXES:
        cfg.default_scope = toolbox
    return cfg


def find_config(config: str) -> Path:
    """Find the file of a config.

    Args:
        config: A file, or a config of an installed toolbox, as 'mmdet::fcos/NAME.py'.

    Raises:
        ValueError: It does not exist, or the toolbox is not installed.
    """
    toolbox, separator, name = config.rpartition('::')
    path = Path(config)
    if separator:
        try:
            path = find_config_folder(toolbox) / name
        except ValueError:
            known = ', '.join(TOOLBOXES)
            raise ValueError(f'{config} is not a config of an installed {known}') from None
    if not path.is_file():
        raise ValueError(f'config {config} does not exist')
    return path


def find_config_folder(toolbox: str) -> Path:
    """Find the folder of a toolbox's configs.

    Raises:
        ValueError: The toolbox is not installed.
    """
    spec = find_spec(toolbox) if toolbox.isidentifier() else None
    if spec is None or spec.origin is None:
        raise ValueError(f'{toolbox!r} is not installed')
    return Path(spec.origin).parent / '.mim' / 'configs'


def get_type(cfg: Any) -> str:
    """The type in a config, or the types in a list of configs, without scopes; '' if there is none."""
    if isinstance(cfg, (list, tuple)):
        return ' and '.join(map(get_type, cfg))
    name = cfg.get('type') if isinstance(cfg, Mapping) else None
    return getattr(name, '__name__', str(name or '')).rpartition('.')[2]


def iter_dicts(node: object) -> Iterator[dict]:
    """All dicts at any depth of a config, outer ones first; they may be changed while iterating."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for part in node:
            yield from iter_dicts(part)


def list_configs(node: Any) -> list[dict]:
    """The configs of a setting that takes one or several, or none, as the evaluators of a loader."""
    return [node] if isinstance(node, dict) else list(node or ())


def check_new_config(path: Path) -> None:
    """Check that a config may be written to ``path``.

    Raises:
        ValueError: It exists already, or does not end in .py.
    """
    if path.suffix != '.py':
        raise ValueError(f'output {path} must end in .py, as configs do')
    check_new_file(path)


def write_config(
    path: Path,
    header: str,
    settings: Mapping[str, Any],
    comments: Mapping[str, str] | None = None,
) -> Config:
    """Write a config that did not exist, after checking that it can be loaded.

    Args:
        path: The file, ending in .py. Missing parent folders are created.
        header: Comment at the top.
        settings: The config's variables in their order, for example ``_base_`` and ``model``; relative
            paths in ``_base_`` are relative to the folder of ``path``.
        comments: Comments above settings, by dotted name: ``{'model.backbone': 'why'}``.

    Returns:
        The resolved config.

    Raises:
        ValueError: ``path`` exists, or the config cannot be loaded; then nothing is written.
    """
    check_new_config(path)
    text = format_config(header, settings, comments or {})
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
        try:
            return Config.fromfile(temporary)
        except Exception as error:
            raise ValueError(f'{path} would not load ({error}); nothing was written') from error


def format_config(header: str, settings: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """Return the text of a config; see :func:`write_config`."""
    lines = format_comment(header, '')
    for name, value in settings.items():
        if lines[-1].startswith('_base_ ='):
            lines.append('')
        lines += format_item(f'{name} = ', value, name, '', comments)
    return '\n'.join(lines) + '\n'


def format_comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f'{indent}# ', subsequent_indent=f'{indent}# ')


def format_item(
    prefix: str, value: Any, name: str, indent: str, comments: Mapping[str, str], suffix: str = ''
) -> list[str]:
    """Return the lines of ``prefix + value + suffix``: a single one if it fits and has no comments."""
    lines = format_comment(comments[name], indent) if name in comments else []
    line = f'{indent}{prefix}{format_value(value)}{suffix}'
    has_comments = any(key.startswith(f'{name}.') for key in comments)
    if not value or not isinstance(value, (dict, list, tuple)):
        return [*lines, line]
    if len(line) <= WIDTH and not has_comments:
        return [*lines, line]
    inner = indent + ' ' * 4
    if isinstance(value, dict):
        brackets = ('dict(', ')') if has_names(value) else ('{', '}')
        items = [(format_key(key, value), f'{name}.{key}', item) for key, item in value.items()]
    else:
        brackets = ('[', ']') if isinstance(value, list) else ('(', ')')
        items = [('', f'{name}.{index}', item) for index, item in enumerate(value)]
    lines.append(f'{indent}{prefix}{brackets[0]}')
    for key, item_name, item in items:
        lines += format_item(key, item, item_name, inner, comments, suffix=',')
    return [*lines, f'{indent}{brackets[1]}{suffix}']


def format_value(value: Any) -> str:
    """Return ``value`` as Python on one line, dicts as ``dict(key=value)`` as configs write them."""
    if isinstance(value, dict):
        items = ', '.join(
            f'{format_key(key, value)}{format_value(item)}' for key, item in value.items()
        )
        return f'dict({items})' if has_names(value) else f'{{{items}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(format_value, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(format_value, value))}{"," if len(value) == 1 else ""})'
    return repr(value)


def format_key(key: Any, owner: dict) -> str:
    return f'{key}=' if has_names(owner) else f'{key!r}: '


def has_names(value: dict) -> bool:
    """Whether all keys can be keyword arguments of ``dict``."""
    return all(
        isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key) for key in value
    )
