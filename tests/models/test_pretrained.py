"""Loading a backbone's weights from the checkpoints of other models."""

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmcednet.models import CEDNet
from mmcednet.models import pretrained as module

PYRAMID = dict(levels=(3, 4, 5, 6), channels=8)


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(module, 'print_log', lambda text, logger, level=None: lines.append(text))
    return lines


def build_model(small, path, average=None, **kwargs):
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    if average is not None:
        init_cfg['average'] = average
    model = MODELS.build(dict(type='CEDNet', arch=small, init_cfg=init_cfg, **kwargs))
    model.init_weights()
    return model


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.', 'module.backbone.'])
@pytest.mark.parametrize('wrapper', [None, 'state_dict', 'model'])
def test_with_and_without_prefix(small, tmp_path, logged, prefix, wrapper):
    source = CEDNet(small, pyramid=PYRAMID)
    weights = {prefix + key: value for key, value in source.state_dict().items()}
    weights['bbox_head.weight'] = torch.zeros(3)
    torch.save({wrapper: weights} if wrapper else weights, tmp_path / 'model.pth')
    model = build_model(small, tmp_path / 'model.pth', pyramid=PYRAMID)
    for key, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[key]), key
    number = len(source.state_dict())
    assert logged[0] == f'Loaded {number} of {number} tensors from {tmp_path / "model.pth"}'


def test_a_checkpoint_that_was_not_converted_is_reported(root, tmp_path, logged):
    """The published CSwin shares the names of its last norms with ours."""
    parity = torch.load(root / 'tests' / 'assets' / 'parity' / 'cswin.pth', weights_only=True)
    torch.save(parity['state_dict'], tmp_path / 'published.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'published.pth'))
    MODELS.build(dict(type='CSWin', **parity['kwargs'], init_cfg=init_cfg)).init_weights()
    assert logged[0] == f'Loaded 8 of 102 tensors from {tmp_path / "published.pth"}'
    assert any('lacks most weights of CSWin; convert published' in line for line in logged)


def test_missing_keys_of_a_classifier_in_a_detector_are_logged(small, tmp_path, logged):
    """A classifier has no final decoder and no pyramid; they keep their initialisation."""
    source = CEDNet(small, final_decoder=False)
    weights = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    weights['head.fc.weight'] = torch.zeros(10, 32)
    torch.save(dict(state_dict=weights), tmp_path / 'classifier.pth')
    model = build_model(small, tmp_path / 'classifier.pth', pyramid=PYRAMID)
    for key, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    missing = next(line for line in logged if line.startswith('Missing keys'))
    assert 'stages.1.decoder.reduce5.* (2)' not in missing  # counted by stage and decoder
    assert 'stages.1.decoder.* (8)' in missing
    assert 'pyramid.laterals.0.* (4)' in missing


def test_unexpected_keys_are_logged(small, tmp_path, logged):
    torch.save(CEDNet(small, pyramid=PYRAMID).state_dict(), tmp_path / 'detector.pth')
    build_model(small, tmp_path / 'detector.pth')
    assert any('Unexpected keys' in line and 'pyramid.extras.0' in line for line in logged)


def test_other_shapes_are_reported(small, tmp_path):
    torch.save(CEDNet(small).state_dict(), tmp_path / 'small.pth')
    small['channels'] = (8, 16, 24, 40)
    with pytest.raises(ValueError, match=r'small\.pth does not fit the model: stages.*needs'):
        build_model(small, tmp_path / 'small.pth')


def test_foreign_checkpoint_is_refused(small, tmp_path):
    torch.save({'stem.0.weight': torch.zeros(3)}, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match=r'contains no weights of CEDNet .*mmcednet official-cednet'):
        build_model(small, tmp_path / 'foreign.pth')


def test_a_list_of_initializations(small, tmp_path):
    """As mmengine's modules take them."""
    expected = CEDNet(small)
    torch.save(expected.state_dict(), tmp_path / 'a.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    model = CEDNet(small, init_cfg=[pretrained])
    model.init_weights()
    assert torch.equal(model.stem.conv1.weight, expected.stem.conv1.weight)
    with pytest.raises(ValueError, match="has 'Pretrained', which must be the only one"):
        CEDNet(small, init_cfg=[dict(type='Normal', layer='Conv2d'), pretrained])


@pytest.mark.parametrize('average', [False, True])
def test_moving_average(small, tmp_path, logged, average):
    """Checkpoints as mmengine's EMAHook writes them: a runner trains, and saves the average."""
    runner = train_with_average(small, tmp_path)
    raw = runner.model.backbone.state_dict()
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    averaged = hook.ema_model.module.backbone.state_dict()
    name = 'stem.conv1.weight'
    assert not torch.equal(raw[name], averaged[name])
    path = tmp_path / 'iter_3.pth'
    model = build_model(small, path, **(dict(average=True) if average else {}))
    for key, value in model.state_dict().items():
        assert torch.equal(value, (averaged if average else raw)[key]), key
    expected = (
        'the moving average of the weights' if average else 'the weights, not their moving average'
    )
    assert logged[0] == f'{path} has a moving average: loading {expected}'


def train_with_average(small, work_dir):
    """Train a backbone for three iterations with an EMAHook."""

    class Classifier(BaseModel):
        def __init__(self):
            super().__init__()
            self.backbone = CEDNet(small)

        def forward(self, images, mode):
            return dict(loss=sum(out.square().mean() for out in self.backbone(images)))

    runner = Runner(
        Classifier(),
        str(work_dir),
        train_dataloader=DataLoader([dict(images=torch.randn(3, 32, 32))] * 3),
        train_cfg=dict(by_epoch=False, max_iters=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='EMAHook', momentum=0.5)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3)),
        experiment_name=work_dir.name,
    )
    runner.train()
    return runner


def test_missing_file(small, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nothing\.pth'):
        build_model(small, tmp_path / 'nothing.pth')


def test_inside_a_detector(small, root, tmp_path):
    """The detector's own init_weights reaches the backbone's."""
    from mmdet.registry import MODELS as DETECTORS
    from mmengine.config import Config

    torch.save(CEDNet(small, pyramid=dict()).state_dict(), tmp_path / 'net.pth')
    cfg = Config.fromfile(root / 'configs' / 'retinanet' / 'cednet_t.py')
    cfg.model.backbone.arch = small
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'))
    detector = DETECTORS.build(cfg.model)
    detector.init_weights()
    expected = torch.load(tmp_path / 'net.pth', weights_only=True)
    for key, value in detector.backbone.state_dict().items():
        assert torch.equal(value, expected[key]), key
