"""Commands that predict do not import a toolbox that the prediction does not need."""

import json
import subprocess
import sys

import pytest

from mmcednet.inference.toolboxes import import_toolbox

# Predicts as tools/infer.py does, lists what is imported, and then imports what was left out
DETECTOR = """
import json, runpy, sys
runpy.run_path({tool!r})['main']({args!r})
imported = [name for name in sys.modules if '.' not in name]
import mmpretrain.models
print(json.dumps(imported))
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
    imported = json.loads(result.stdout.splitlines()[-1])
    assert {'mmdet', 'torch'} <= set(imported)
    assert not set(imported) & {'mmpretrain', 'mmseg'}


def test_other_scopes():
    for scope in (None, 'mmengine', 'absent'):
        import_toolbox(scope)
