"""benchmarks/pretraining.py: a real pre-training, restart, and detectors that start from it."""

import importlib
import json

import pytest
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from safetensors.torch import load_file

from mmcednet.data.shapes import CLASSES, draw_dataset


@pytest.fixture
def benchmark(import_benchmarks):
    return importlib.import_module('pretraining')


@pytest.fixture
def images(tmp_path):
    """Images in the folders of Tiny ImageNet."""
    folder = draw_dataset(tmp_path / 'shapes', train=8, val=4, size=64, seed=0, single=True)
    (folder / 'val' / 'images').mkdir()
    lines = []
    for label, name in enumerate(sorted(CLASSES)):
        for path in (folder / 'val' / name).iterdir():
            path.rename(folder / 'val' / 'images' / path.name)
            lines.append(f'{path.name} {label}')
    (folder / 'val.txt').write_text('\n'.join(lines))
    return folder


@pytest.mark.parametrize('model', ['convnext_fpn', 'cednet_m1', 'cednet_m3'])
@pytest.mark.parametrize('segmenter', [False, True])
def test_config(benchmark, model, segmenter, tmp_path):
    cfg = benchmark.build_config(benchmark.Run('images', model, segmenter, 7, 4e-3, 0.2), tmp_path, 5)
    network = benchmark.NETWORKS[model]
    wanted = network.get_raw_backbone() if segmenter else network.backbone
    assert cfg.model.backbone.arch.channels == wanted['arch']['channels']
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == 5
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path)
    assert [step['end'] for step in cfg.param_scheduler] == [500, 7]
    assert cfg.optim_wrapper.optimizer.lr == 4e-3


def test_config_for_a_gpu(benchmark, tmp_path):
    for device, size in (('cpu', 64), ('cuda', 512)):
        run = benchmark.Run('images', 'cednet_tiny_m3', False, 7, 4e-3, 0.2, device)
        assert benchmark.build_config(run, tmp_path, 5).train_dataloader.batch_size == size


@pytest.mark.slow
@pytest.mark.parametrize('model', ['convnext_fpn', 'cednet_m1'])
def test_detectors_start_from_the_weights(benchmark, model, images, tmp_path, capfd):
    out = tmp_path / 'labels'
    command = ['--data', str(images), '--models', model, '--epochs', '1', '-o', str(out)]
    assert benchmark.main(command) == 0
    (row,) = json.loads((out / 'results.json').read_text())['runs']
    assert row['top1'] in (0, 25, 50, 75, 100)  # of four images
    capfd.readouterr()
    benchmark.main(command)
    assert capfd.readouterr().out == f'{model}: top-1 {row["top1"]:.1f} % after 1 epochs\n'
    with pytest.raises(SystemExit, match=r'labels/.* is of another training, .*; choose another -o'):
        benchmark.main([*command, '--lr', '1e-4'])

    fusion = importlib.import_module('fusion.training')
    run = fusion.Run('cells', 'retinanet', model, 1, 8, 1e-3, 0.05, (64, 64), 'labels')
    data = draw_dataset(tmp_path / 'cells', train=2, val=2, size=64, seed=0)
    (tmp_path / 'run').mkdir()
    cfg = fusion.build_config(run, data, tmp_path / 'run', out)
    init_default_scope('mmdet')
    detector = Runner.from_cfg(cfg).model
    detector.init_weights()
    found = detector.state_dict()
    weights = load_file(out / f'{model}.safetensors')
    # a detector takes ConvNeXt's norms of its own levels
    assert set(weights) - set(found) <= {'backbone.norm3.weight', 'backbone.norm3.bias'}
    assert all(found[name].equal(weights[name]) for name in weights if name in found)
