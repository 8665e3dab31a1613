"""A config in pure Python, whose types are classes: all that the commands add to a config is there."""

import shutil

import pytest

CONFIG = 'pure_python.py'


@pytest.mark.slow
def test_training_predictions_and_export(run_tool, root, shapes, tmp_path):
    (tmp_path / 'shapes').symlink_to(shapes)
    shutil.copy(root / 'tests' / 'assets' / CONFIG, tmp_path)
    done = run_tool('train.py', CONFIG, '--work-dir', 'work', fresh=True)
    assert 'does not resume exactly' not in done.stdout
    assert (tmp_path / 'work' / 'report' / 'curves.png').is_file()
    assert next((tmp_path / 'work').glob('best_coco_bbox_mAP_epoch_*.pth')).is_file()
    last = (tmp_path / 'work' / 'last_checkpoint').read_text()
    assert last.endswith('epoch_2.pth')
    options = ['train_cfg.max_epochs=3']
    run_tool('train.py', CONFIG, '--work-dir', 'work', '--resume', '--amp', '--cfg-options', *options)
    checkpoint = tmp_path / 'work' / 'epoch_3.pth'
    assert checkpoint.is_file()

    run_tool('infer.py', CONFIG, checkpoint, shapes / 'val', '-o', 'predictions')
    assert len(list((tmp_path / 'predictions' / 'drawn').iterdir())) == 3
    pytest.importorskip('onnxscript')
    run_tool('export.py', CONFIG, checkpoint, '-o', 'model.onnx')
    assert (tmp_path / 'model.onnx').is_file()
