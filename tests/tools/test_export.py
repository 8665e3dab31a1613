"""Errors of tools/export.py; tests/export tests the files that it writes."""

import os
import subprocess
import sys

import pytest
import torch
from small_models import SHAPES, save_random_model

SCRIPT = 'export.py'


@pytest.fixture
def get_export_error(get_error, tmp_path):
    """Run the tool, which must fail, and check that it writes nothing."""
    pytest.importorskip('onnxscript')

    def run(*args):
        before = sorted(tmp_path.iterdir())
        message = get_error(SCRIPT, *args)
        assert sorted(tmp_path.iterdir()) == before
        return message

    return run


@pytest.fixture
def retinanet(root):
    return root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'


@pytest.mark.slow
def test_missing_packages(root):
    code = (
        'import importlib.util as u, runpy, sys; find = u.find_spec;'
        "u.find_spec = lambda name, *a: None if name.startswith('onnx') else find(name, *a);"
        "sys.argv = ['export.py', 'config.py', 'x.pth', '-o', 'model.onnx'];"
        f'runpy.run_path({str(root / "tools" / SCRIPT)!r}, run_name="__main__")'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "error: export needs onnx, onnxscript, onnxruntime: pip install 'mmcednet[onnx]'"
    )


def test_other_suffix(get_export_error, retinanet):
    message = get_export_error(retinanet, 'x.pth', '-o', 'model.pt')
    assert message == 'error: model.pt must end in .onnx'


def test_missing_checkpoint(get_export_error, retinanet):
    message = get_export_error(retinanet, 'x.pth', '-o', 'model.onnx')
    assert message.startswith('error: x.pth can not be found')


def test_checkpoint_of_another_config(get_export_error, root, retinanet, tmp_path):
    other = root / 'configs' / 'mask_rcnn' / 'cednet_nano_shapes.py'
    path = save_random_model(other, tmp_path / 'other.pth', classes=SHAPES)
    message = get_export_error(retinanet, path, '-o', 'model.onnx')
    assert message.startswith(f'error: {path} is not a checkpoint of this model: bbox_head.')


def test_unsupported_head(get_export_error, retinanet, tmp_path):
    config = tmp_path / 'fcos.py'
    head = dict(_delete_=True, type='FCOSHead', num_classes=4, in_channels=48)
    config.write_text(f'_base_ = {str(retinanet)!r}\nmodel = dict(bbox_head={head})\n')
    path = save_random_model(config, tmp_path / 'fcos.pth', classes=SHAPES)
    message = get_export_error(config, path, '-o', 'model.onnx')
    assert message.startswith('error: RetinaNet with FCOSHead cannot be exported; ')
    assert 'RetinaHead' in message


def test_unreadable_picture(get_export_error, retinanet, tmp_path):
    path = save_random_model(retinanet, tmp_path / 'a.pth', classes=SHAPES)
    torch.save({}, tmp_path / 'picture.jpg')
    message = get_export_error(retinanet, path, '-o', 'model.onnx', '--check', 'picture.jpg')
    assert message == 'error: picture.jpg could not be read as an image'


# A backbone that the exporter translates in another way than torch runs it
ODD_BACKBONE = """
import torch
from mmcednet.models.cednet import CEDNet
from mmengine.registry import MODELS

@MODELS.register_module()
class OddCEDNet(CEDNet):
    def forward(self, x):
        return tuple(-y if torch.compiler.is_exporting() else y for y in super().forward(x))
"""


@pytest.mark.slow
def test_different_predictions(run_tool, root, shapes, tmp_path, monkeypatch):
    pytest.importorskip('onnxscript')
    (tmp_path / 'odd_backbone.py').write_text(ODD_BACKBONE)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)
    base = root / 'configs' / 'imagenet' / 'cednet_nano_shapes.py'
    arch = dict(_delete_=True, channels=(8, 8, 8, 96), blocks=(1, 1, 1, 1), num_stages=1)
    plain, odd = tmp_path / 'plain.py', tmp_path / 'odd.py'
    plain.write_text(
        f'_base_ = {str(base)!r}\nmodel = dict(backbone=dict(arch={arch}), head=dict(num_stages=1))\n'
    )
    odd.write_text(
        "_base_ = 'plain.py'\n"
        "custom_imports = dict(imports=['mmcednet', 'odd_backbone'])\n"
        "model = dict(backbone=dict(type='OddCEDNet'))\n"
    )
    path = save_random_model(plain, tmp_path / 'a.pth', classes=SHAPES)
    picture = next((shapes / 'val').glob('*.png'))
    args = (odd, path, '-o', tmp_path / 'model.onnx', '--check', picture)
    result = run_tool(SCRIPT, *args, expected_code=1, fresh=True)
    message = result.stderr.splitlines()[-1]
    assert 'OneDL' not in result.stdout  # a message of the toolboxes
    assert message.startswith(
        f'error: {tmp_path / "model.onnx"} is not written: onnxruntime and torch '
    )
    assert not list(tmp_path.glob('*.onnx'))
