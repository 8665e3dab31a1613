"""tools/model_converters/publish.py, and the tools that read what it writes."""

import json

import pytest
import torch
from small_models import SHAPES, save_random_model

SCRIPT = 'model_converters/publish.py'


def get_path(output):
    """The written file, in the last line of the output; mmengine logs before it."""
    return output.splitlines()[-1].split(': ')[0]


@pytest.fixture
def nano(root):
    return root / 'configs' / 'retinanet' / 'cednet_nano_shapes.py'


def test_errors(get_error, tmp_path):
    message = get_error(SCRIPT, 'absent.pth', '-o', 'a.safetensors')
    assert message.startswith('error: absent.pth can not be found')
    (tmp_path / 'a.pth').write_text('no checkpoint')
    message = get_error(SCRIPT, 'a.pth', '-o', 'a.safetensors')
    assert message.startswith('error: a.pth cannot be read as a checkpoint: ')
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


def test_published_checkpoints_are_not_resumed(get_error, load_main, nano, shapes, tmp_path, capsys):
    save_random_model(nano, tmp_path / 'a.pth', classes=SHAPES)
    load_main(SCRIPT)([str(tmp_path / 'a.pth'), '-o', str(tmp_path / 'cells.safetensors')])
    path = get_path(capsys.readouterr().out)
    settings = [f'{split}_dataloader.dataset.data_root={shapes}' for split in ('train', 'val')]
    settings.append(f'val_evaluator.ann_file={shapes}/annotations/val.json')
    message = get_error('train.py', nano, '--resume', path, '--cfg-options', *settings)
    assert message == (
        f'error: {path} has weights but no training state, so that it cannot be resumed; to start from '
        f'its weights, use --cfg-options load_from={path}'
    )


@pytest.mark.slow
def test_same_predictions(run_tool, nano, shapes, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {str(nano)!r}\nmodel = dict(test_cfg=dict(score_thr=0.0))\n')
    checkpoint = save_random_model(nano, tmp_path / 'a.pth', classes=SHAPES)
    paths = [checkpoint]
    for index, suffix in enumerate(('.safetensors', '.pth')):
        done = run_tool(SCRIPT, checkpoint, '-o', tmp_path / f'cells{suffix}', fresh=not index)
        paths.append(get_path(done.stdout))
    predictions = []
    for index, path in enumerate(paths):
        out = tmp_path / f'out{index}'
        run_tool('infer.py', config, path, shapes / 'val', '-o', out, '--device', 'cpu', '--score', 0)
        predictions.append(json.loads((out / 'predictions.json').read_text()))
    assert predictions[0]
    for others in predictions[1:]:
        assert [box['category'] for box in others] == [box['category'] for box in predictions[0]]
        for key in ('bbox', 'score'):
            theirs, ours = (
                torch.tensor([box[key] for box in boxes]) for boxes in (others, predictions[0])
            )
            torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-3)
