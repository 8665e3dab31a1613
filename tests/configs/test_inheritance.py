"""Configs inherit through few files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob('*.py'))


def iter_chains(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield each chain of ``_base_`` files, from ``path`` to a file without one or to a toolbox."""
    bases = []
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            value = ast.literal_eval(node.value)
            bases = [value] if isinstance(value, str) else value
    name = path.relative_to(CONFIGS).as_posix()
    if not bases:
        yield (name,)
    for base in bases:
        rest = [(base,)] if '::' in base else iter_chains((path.parent / base).resolve())
        for chain in rest:
            yield name, *chain


@pytest.mark.parametrize('name', [name for name in NAMES if not name.startswith('_base_')])
def test_at_most_three_files_before_the_toolbox_or_the_presets(name):
    for chain in iter_chains(CONFIGS / name):
        assert len(chain) <= 4, ' > '.join(chain)
