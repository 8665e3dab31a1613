"""Reports of tools/train.py and tools/evaluate.py, as users run them."""

import csv
import json
import re
import shutil

import numpy as np
import pytest


def read_csv(path):
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_and_an_evaluation_write_the_same_tables(run_tool, config, shapes, tmp_path):
    work, out = tmp_path / 'work', tmp_path / 'out'
    settings = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'model.test_cfg.score_thr=0.0']
    args = [config, 2, '--work-dir', work, '--early-stopping', 2, '--cfg-options', *settings]
    done = run_tool('dist_train.sh', *args)
    printed = done.stdout + done.stderr
    assert printed.count('Pictures and tables: ') == 1
    checkpoint = re.search(r'Checkpoint: (\S+\.pth)', printed)[1]
    assert f'mmcednet infer {config} {checkpoint} IMAGES' in printed
    for text in ('Config:', 'Hooks will be executed', 'FileClient', 'OneDL', 'No picture'):
        assert text not in printed

    (log,) = work.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    (ap,) = [entry['coco/bbox_mAP'] for entry in entries if 'coco/bbox_mAP' in entry]
    classes = read_csv(work / 'report' / 'classes.csv')
    assert np.mean([float(row['box AP']) for row in classes]) == pytest.approx(ap, abs=6e-4)
    images = {row['img_path'] for row in read_csv(work / 'report' / 'images.csv')}
    assert images == {str(path) for path in (shapes / 'val').glob('*.png')}

    annotations = tmp_path / 'elsewhere' / 'truth.json'
    annotations.parent.mkdir()
    shutil.copy(shapes / 'annotations' / 'val.json', annotations)
    args = [config, checkpoint, '--annotations', annotations, '--images', shapes / 'val']
    run_tool('evaluate.py', *args, '-o', out, '--cfg-options', settings[2], fresh=True)
    assert [row['class'] for row in read_csv(out / 'classes.csv')] == [row['class'] for row in classes]
    for ours, theirs in zip(read_csv(out / 'classes.csv'), classes):
        assert float(ours['box AP']) == pytest.approx(float(theirs['box AP']), abs=1e-3)
    assert (out / 'worst_images.png').stat().st_size > 1000


def test_errors(get_error, config, checkpoint):
    message = get_error('evaluate.py', config, checkpoint, '--images', 'a')
    assert message == 'error: --images a needs --annotations, the file that belongs to it'
    message = get_error('evaluate.py', config, checkpoint, '--annotations', 'absent.json')
    assert message == 'error: absent.json does not exist'
    message = get_error('train.py', config, '--early-stopping', 0)
    assert message == 'error: --early-stopping 0 must be at least 1'
