"""Every folder and module of mmcednet imports what docs/architecture.md says."""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmcednet'
ROW = re.compile(r'^\| `mmcednet/(\w+)(?:/|\.py)` \|[^|]*\|([^|]*)\|$', re.MULTILINE)
TABLE = {
    part: set(re.findall(r'`(\w+)`', cell))
    for part, cell in ROW.findall((ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8'))
}


def iter_nodes(tree: ast.AST, into_functions: bool) -> Iterator[ast.AST]:
    """All nodes of a syntax tree, with or without the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if into_functions or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from iter_nodes(node, into_functions)


def collect_imports(path: Path, root: Path = ROOT, into_functions: bool = True) -> set[str]:
    """Dotted names of what a file imports: 'torch', 'torch.nn', 'mmcednet.models.CEDNet'."""
    package = '.'.join(path.relative_to(root).parent.parts)
    found = set()
    for node in iter_nodes(ast.parse(path.read_text(encoding='utf-8')), into_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name('.' * node.level + (node.module or ''), package)
            found |= {f'{module}.{alias.name}' for alias in node.names}
    return found


def list_files(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob('*.py')) if folder.is_dir() else [folder.with_suffix('.py')]


def find_imported_parts(path: Path) -> set[str]:
    """Folders and modules of the package that a file imports."""
    names = {
        f'{name}.'.split('.')[1] for name in collect_imports(path) if name.split('.')[0] == 'mmcednet'
    }
    return {name or '__init__' for name in names}


def test_every_kind_of_import_is_found(tmp_path):
    path = tmp_path / 'mmcednet' / 'visualization' / 'progress.py'
    path.parent.mkdir(parents=True)
    path.write_text(
        'import torch, torch.nn as nn\n'
        'import mmcednet.analysis\n'
        'from mmcednet import data\n'
        'from . import drawing\n'
        'from ..files import atomic_write as write\n'
        'if TYPE_CHECKING:\n'
        '    import mmseg\n'
        'class Hook:\n'
        '    import mmcv\n'
        '    def run(self):\n'
        '        from mmdet.structures import DetDataSample\n'
    )
    at_import = {
        *('torch', 'torch.nn', 'mmcednet.analysis', 'mmcednet.data', 'mmcednet.visualization.drawing'),
        *('mmcednet.files.atomic_write', 'mmseg', 'mmcv'),
    }
    assert collect_imports(path, tmp_path, into_functions=False) == at_import
    assert collect_imports(path, tmp_path) == at_import | {'mmdet.structures.DetDataSample'}


def test_every_folder_and_module_is_in_the_table():
    folders = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert set(TABLE) == folders | {path.stem for path in PACKAGE.glob('*.py')}


def test_table_has_no_cycle():
    TopologicalSorter(TABLE).prepare()


@pytest.mark.parametrize('part', TABLE)
def test_imports_are_those_of_the_table(part):
    found = {other: path for path in list_files(part) for other in find_imported_parts(path) - {part}}
    assert set(found) == TABLE[part], found


@pytest.mark.parametrize(
    'path', list_files('models') + list_files('baselines'), ids=lambda path: path.name
)
def test_models_import_only_torch_and_mmengine(path):
    packages = {name.split('.')[0] for name in collect_imports(path, into_functions=False)}
    allowed = {'torch', 'mmengine', 'mmcednet'} | (
        {'triton'} if path.parent.name == 'triton' else set()
    )
    assert packages - sys.stdlib_module_names <= allowed


@pytest.mark.parametrize('path', list_files('models/kernels'), ids=lambda path: path.name)
def test_kernels_import_nothing_of_the_network(path):
    own = {name for name in collect_imports(path) if name.startswith('mmcednet.')}
    assert all(name.startswith('mmcednet.models.kernels.') for name in own)


NETWORK = ['blocks', 'cednet', 'layers', 'mixers', 'pyramid', 'stage', 'stem']
PATHS = {'is_autocast_enabled', 'is_compiling', 'is_cuda', 'is_grad_enabled', 'is_tracing'}


@pytest.mark.parametrize('module', NETWORK)
def test_the_network_computes_in_one_way(module):
    """Which operators are used, and what is recomputed, is decided elsewhere."""
    path = PACKAGE / 'models' / f'{module}.py'
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        assert not isinstance(node, ast.Lambda)
        assert getattr(node, 'attr', getattr(node, 'id', '')) not in PATHS
    places = ('mmcednet.models.execution.', 'mmcednet.models.kernels')
    found = {name for name in collect_imports(path) if name.startswith(places)}
    switches = {'RECOMPUTE', 'apply_recompute', 'use_kernels'} if module == 'cednet' else set()
    assert found == {f'{places[0]}{name}' for name in switches}
