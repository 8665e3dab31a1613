"""The config that a checkpoint carries, read as data: no code of it runs."""

import ast
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from mmengine.config import Config

from mmcednet.config_files import TOOLBOXES, iter_dicts

ADVICE = 'pass the config file, if you trust it'


def get_config(loaded: dict, checkpoint: str) -> Config:
    """The config of a loaded checkpoint, with what it imports of mmcednet and the toolboxes imported.

    Args:
        loaded: The checkpoint, as a training or :func:`publish` wrote it.
        checkpoint: Its file, for errors.

    Raises:
        ValueError: There is no config, or it could run code: it has anything but values, imports other
            modules, or names a class by the path of its module; or a module cannot be imported.
    """
    text = (loaded.get('meta') or {}).get('cfg')
    if not text:
        raise ValueError(f'{checkpoint} contains no config; pass the config file, too')
    try:
        settings = parse_settings(text)
    except (ValueError, SyntaxError) as error:
        raise ValueError(
            f'the config in {checkpoint} has more than values ({error}); {ADVICE}'
        ) from None
    for name in find_types(settings):
        scope, _, short = name.rpartition('.')
        if (scope and scope not in TOOLBOXES) or not short.isidentifier():
            raise ValueError(f'the config in {checkpoint} builds {name}, which may run code; {ADVICE}')
    import_modules(settings.get('custom_imports') or {}, checkpoint)
    return Config(settings)


def import_modules(custom_imports: Any, checkpoint: str) -> None:
    """Import the modules of mmcednet and the toolboxes that a config needs.

    Args:
        custom_imports: The config's.
        checkpoint: Its file, for errors.

    Raises:
        ValueError: It is no dict with a list of names, a module is another one, or cannot be imported.
    """
    modules = custom_imports.get('imports', []) if isinstance(custom_imports, dict) else None
    if not isinstance(modules, (list, tuple)) or not all(isinstance(name, str) for name in modules):
        raise ValueError(
            f'the config in {checkpoint} has custom_imports={custom_imports!r}, but it must be '
            f"dict(imports=['MODULE', ...]); {ADVICE}"
        )
    for module in modules:
        if module.split('.')[0] not in ('mmcednet', *TOOLBOXES):
            raise ValueError(
                f'the config in {checkpoint} imports {module}, which may run code; {ADVICE}'
            )
        try:
            import_module(module)
        except ImportError as error:
            raise ValueError(f'the config in {checkpoint} imports {module}: {error}') from None


def parse_settings(text: str) -> dict[str, Any]:
    """Parse a config as mmengine writes it: assignments of literals and ``dict(...)``.

    Raises:
        ValueError: There is something else.
        SyntaxError: It is not Python.
    """
    settings = {}
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                settings[name] = ast.literal_eval(DictCalls().visit(value))
            case _:
                raise ValueError(f'line {statement.lineno} is no assignment')
    return settings


class DictCalls(ast.NodeTransformer):
    """Replaces ``dict(key=value)`` and ``dict({...})`` by literals."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id='dict'), args=[ast.Dict() as literal], keywords=[]):
                return literal
            case ast.Call(func=ast.Name(id='dict'), args=[]):
                keys: list[ast.expr | None] = [ast.Constant(keyword.arg) for keyword in node.keywords]
                return ast.Dict(keys, [keyword.value for keyword in node.keywords])
        return node  # ast.literal_eval refuses it


def find_types(value: Any) -> Iterator[str]:
    """All names of classes, the values of 'type' in dicts."""
    for part in iter_dicts(value):
        if isinstance(part.get('type'), str):
            yield part['type']
