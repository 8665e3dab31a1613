"""tools/draw_shapes.py draws a dataset and reports wrong arguments."""

import json


def test_dataset(load_main, tmp_path):
    out = tmp_path / 'out'
    args = [str(out), '--train', '2', '--val', '1', '--size', '64', '--seed', '3']
    assert load_main('draw_shapes.py')(args) == 0
    assert json.loads((out / 'shapes.json').read_text())['seed'] == 3
    assert len(list((out / 'train').iterdir())) == 2


def test_invalid_number(get_error, tmp_path):
    message = get_error('draw_shapes.py', tmp_path / 'out', '--train', '0')
    assert message == 'error: train 0 must be at least 1'
    assert not (tmp_path / 'out').exists()


def test_process(run_tool, tmp_path):
    run_tool('draw_shapes.py', 'out', '--train', '1', '--val', '1', '--single', fresh=True)
    assert (tmp_path / 'out' / 'shapes.json').exists()
