"""Commands that predict import no package that the prediction does not need."""

import importlib
import json
import subprocess
import sys

import pytest

from mmcednet.inference.toolboxes import defer_packages, hide_module, import_toolbox

# Predicts as tools/infer.py does, lists what is imported, and then uses what was left out
DETECTOR = """
import json, runpy, sys
runpy.run_path({tool!r})['main']({args!r})
imported = [name for name in sys.modules if '.' not in name]
from mmdet.models.task_modules.assigners.hungarian_assigner import linear_sum_assignment
rows, columns = linear_sum_assignment([[1, 0], [0, 1]])
import mmpretrain.models, scipy.optimize
print(json.dumps([imported, columns.tolist()]))
"""


@pytest.mark.slow
def test_a_detector_predicts_without_other_packages(root, tmp_path):
    example = root / 'examples' / 'blood_cells'
    (checkpoint,) = example.glob('*.safetensors')
    files = (example / 'config.py', checkpoint, example / 'images' / 'BloodImage_00031.jpg')
    args = [*map(str, files), '-o', str(tmp_path / 'out'), '--device', 'cpu']
    code = DETECTOR.format(tool=str(root / 'tools' / 'infer.py'), args=args)
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    imported, columns = json.loads(result.stdout.splitlines()[-1])
    assert {'mmdet', 'torch'} <= set(imported)
    assert not set(imported) & {'mmpretrain', 'mmseg', 'scipy', 'imgaug', 'imagecorruptions', 'timm'}
    assert columns == [1, 0]


@pytest.fixture
def user(tmp_path, monkeypatch):
    """The name of a module that imports parts of a package in all ways."""
    package = tmp_path / 'deferred_package'
    package.mkdir()
    (package / '__init__.py').write_text('def one():\n    return 1\n')
    (package / 'inner.py').write_text('class Two:\n    value = 2\n')
    (tmp_path / 'user_of_package.py').write_text(
        'import deferred_package\n'
        'import deferred_package.inner as alias\n'
        'from deferred_package import inner, one\n'
        'from deferred_package.inner import Two\n'
        'def use():\n'
        '    values = [deferred_package.one(), alias.Two.value, inner.Two().value, one(), Two.value]\n'
        '    return values + [Two().value, deferred_package.inner.Two.value]\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield 'user_of_package'
    for name in [name for name in sys.modules if name.startswith(('deferred_package', 'user_of'))]:
        del sys.modules[name]


def test_deferred_packages_are_imported_when_they_are_used(user):
    with defer_packages(['deferred_package', 'absent_package']):
        module = importlib.import_module(user)
        with pytest.raises(ImportError):
            importlib.import_module('absent_package')
    assert 'deferred_package' not in sys.modules
    assert module.use() == [1, 2, 2, 1, 2, 2, 2]
    assert 'deferred_package.inner' in sys.modules


def test_what_is_imported_already_is_left_alone(user):
    module = importlib.import_module(user)
    before = sys.modules['deferred_package']
    with defer_packages(['deferred_package']), hide_module('deferred_package'):
        assert importlib.import_module('deferred_package') is before
    assert module.deferred_package is before and sys.modules['deferred_package'] is before


def test_a_hidden_module_is_missing_meanwhile(user):
    with hide_module('deferred_package'), pytest.raises(ImportError):
        importlib.import_module(user)
    assert importlib.import_module(user).use()


def test_other_scopes():
    for scope in (None, 'mmengine', 'absent'):
        import_toolbox(scope)
