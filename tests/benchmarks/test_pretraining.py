"""benchmarks/pretraining.py: a real pre-training, restart, and detectors that start from it."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

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


@pytest.mark.parametrize('missing', ['train', 'val/images', 'val.txt'])
def test_images_are_looked_at_first(benchmark, images, missing, tmp_path):
    out = tmp_path / 'labels'
    (images / missing).rename(tmp_path / 'elsewhere')
    with pytest.raises(
        SystemExit, match=rf'error: {images / missing} does not exist; --data must have'
    ):
        benchmark.main(['--data', str(images), '-o', str(out)])
    assert not out.exists()


@pytest.mark.slow
def test_a_folder_is_of_the_training_that_has_checkpoints_in_it(benchmark, images, tmp_path):
    out = tmp_path / 'labels'
    run = benchmark.Run('shapes', 'cednet_m1', False, 1, 2e-3, 0.05)
    for path in (images / 'train' / 'star').iterdir():
        path.write_text('no image')
    with pytest.raises(ValueError, match=r'the training of cednet_m1 failed: its log is in .*labels'):
        benchmark.train(run, images, out)
    other = replace(run, lr=1e-3)
    with pytest.raises(ValueError, match='failed'):
        benchmark.train(other, images, out)
    assert json.loads((out / 'cednet_m1' / 'run.json').read_text()) == asdict(other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('number', 'send'),
    [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill), (signal.SIGTERM, os.killpg)],
    ids=['Ctrl-C', 'kill', 'timeout'],
)
def test_a_stopped_training_saves_a_checkpoint_and_continues(
    benchmark, root, images, number, send, tmp_path
):
    out = tmp_path / 'labels'
    args = ['--data', str(images), '--models', 'cednet_m1', '--epochs', '20', '-o', str(out)]
    script = [sys.executable, str(root / 'benchmarks' / 'pretraining.py')]
    process = subprocess.Popen(
        script + args,
        env=dict(os.environ, PYTHONPATH=str(root)),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not (out / 'cednet_m1' / 'epoch_1.pth').exists():
        time.sleep(0.05)
    send(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors.splitlines()[-1]) == (
        128 + number,
        'stopped; the same command continues',
    )
    assert 'failed' not in errors
    assert (out / 'cednet_m1' / 'interrupted.pth').is_file()
    assert benchmark.main(args) == 0
    assert (out / 'cednet_m1.safetensors').is_file()
    logs = ''.join(path.read_text() for path in (out / 'cednet_m1').glob('*/*.log'))
    assert 'resumed epoch: ' in logs


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
