"""The code of docs/elsewhere.md runs."""

from pathlib import Path

import pytest
import torch
from code_blocks import read_code_blocks
from mmengine.config import Config
from mmengine.registry import MODELS, Registry

from mmcednet.checkpoints.safetensors_reader import load_from_safetensors
from mmcednet.models import CEDNet

ROOT = Path(__file__).resolve().parents[1]
CHILD = Registry('model', parent=MODELS, scope='elsewhere')  # as that of MMPose
FILES = {
    code.splitlines()[0].removeprefix('# '): code
    for code in read_code_blocks(ROOT / 'docs' / 'elsewhere.md', 'python')
}


def run(name):
    example = {}
    exec(FILES[name], example)
    return example


def test_every_block_is_tested():
    assert set(FILES) == {
        'features.py',
        'torchvision_retinanet.py',
        'heatmap_cednet_t.py',
        'frozen.py',
    }


def test_features():
    assert [tuple(feature.shape) for feature in run('features.py')['features']] == [
        (1, 192, 28, 28),
        (1, 352, 14, 14),
        (1, 512, 7, 7),
    ]


@pytest.mark.slow
def test_torchvision_retinanet(small):
    example = run('torchvision_retinanet.py')
    assert example['detector'].backbone.body.out_strides == (8, 16, 32, 64, 128)
    detector = example['RetinaNet'](
        example['Backbone'](small), num_classes=3, min_size=128, max_size=160
    )
    image = torch.rand(3, 100, 120)
    boxes = torch.tensor([[10.0, 10.0, 60.0, 70.0]])
    losses = detector([image], [dict(boxes=boxes, labels=torch.tensor([1]))])
    sum(losses.values()).backward()
    gradients = [param.grad for param in detector.backbone.parameters()]
    # the lowest pyramid levels do not use the stem's second output
    assert sum(gradient is not None for gradient in gradients) > 0.9 * len(gradients)
    with torch.no_grad():
        (found,) = detector.eval()([image])
    assert found['boxes'].shape[1] == 4


def test_config_of_another_toolbox(tmp_path):
    """With a base of the structure of MMPose's, which is not installed here."""
    name = 'heatmap_cednet_t.py'
    (tmp_path / 'base.py').write_text(
        "model = dict(backbone=dict(type='ResNet', depth=50), neck=dict(type='FPN'), head=dict())"
    )
    base = FILES[name].splitlines()[1]
    assert base.startswith("_base_ = '")
    (tmp_path / name).write_text(FILES[name].replace(base, "_base_ = 'base.py'"))
    cfg = Config.fromfile(tmp_path / name)
    backbone = CHILD.build(cfg.model.backbone)
    assert isinstance(backbone, CEDNet)
    assert backbone.out_strides == (4, 8, 16, 32)


def test_frozen(monkeypatch):
    pytest.importorskip('mmdet')  # of which the config inherits
    monkeypatch.chdir(ROOT)
    example = run('frozen.py')
    assert all(param.grad is None for param in example['backbone'].parameters())
    assert example['classifier'].weight.grad.abs().max() > 0
    weights = load_from_safetensors(example['checkpoint'])['state_dict']
    for key, value in example['backbone'].state_dict().items():
        assert torch.equal(value, weights[f'backbone.{key}']), key
