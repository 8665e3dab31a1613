"""Pre-training and fine-tuning end to end, on generated images."""

import json
import re

import pytest

from mmcednet.data.shapes import draw_dataset

pytestmark = pytest.mark.slow


def test_classifier_learns_and_detector_starts_from_its_weights(run_tool, root, tmp_path, shapes):
    draw_dataset(tmp_path / 'data' / 'shapes-single', train=800, val=100, size=64, seed=0, single=True)
    config = root / 'configs' / 'imagenet' / 'cednet_nano_shapes.py'
    run_tool('train.py', config, '--work-dir', 'work')
    (scalars,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in scalars.read_text().splitlines()]
    accuracies = [entry['accuracy/top1'] for entry in entries if 'accuracy/top1' in entry]
    assert accuracies[-1] > 90
    assert 'loss_stage1' in entries[0]

    checkpoint = (tmp_path / 'work' / 'last_checkpoint').read_text().strip()
    result = run_tool('test.py', config, checkpoint, '--out', 'out.pkl', '--show-dir', 'drawn')
    assert f'accuracy/top1: {accuracies[-1]:.4f}' in result.stdout + result.stderr
    assert (tmp_path / 'out.pkl').exists()

    detector = tmp_path / 'detector.py'
    detector.write_text(
        f"_base_ = '{root}/configs/retinanet/cednet_nano_shapes.py'\n"
        f'data = dict(data_root={str(shapes)!r})\n'
        'train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)\n'
        'val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)\n'
        f"val_evaluator = dict(ann_file='{shapes}/annotations/val.json')\n"
        'train_cfg = dict(max_epochs=1)\n'
    )
    args = ['--work-dir', 'detector', '--pretrained', checkpoint]
    result = run_tool('train.py', detector, *args)
    log = result.stdout + result.stderr
    loaded = re.search(r'Loaded (\d+) of (\d+) tensors from (\S+)', log)
    assert loaded[3] == checkpoint
    missing = re.search(r'Missing keys, left at their initialisation: (.*)', log)[1]
    parts = {part.strip().split('.*')[0] for part in missing.split(', ')}
    assert {'stages.1.decoder'} < parts  # of the last stage
    assert all(part.startswith(('stages.1.decoder', 'pyramid.')) for part in parts)
