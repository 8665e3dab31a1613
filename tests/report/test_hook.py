"""The hook in a training of a classifier on a few images; other kinds are in tests/tools/."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmcednet.report.evaluation import Evaluation
from mmcednet.report.files import MAX_ROWS, format_table
from mmcednet.report.hook import ReportHook, describe_next

FILES = {
    *(
        'training_images.png',
        'predictions.png',
        'curves.png',
        'curves.csv',
        'classes.csv',
        'images.csv',
    ),
    *('confusion_matrix.png', 'confusion_matrix.csv', 'precision_recall.png', 'precision_recall.csv'),
    'worst_images.png',
}


@pytest.fixture
def train(root, single_shapes, tmp_path):
    """Train for some epochs, with a report in a folder; return the runner and the hook."""

    def run(out, epochs, name, **settings):
        cfg = Config.fromfile(root / 'configs' / 'imagenet' / 'cednet_nano_shapes.py')
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.update(num_workers=0, persistent_workers=False, batch_size=4)
            loader.dataset.data_root = str(single_shapes)
        cfg.update(test_dataloader=None, test_evaluator=None, test_cfg=None, launcher='none')
        cfg.update(work_dir=str(tmp_path / name), experiment_name=name, log_level='WARNING')
        cfg.visualizer.name = str(out)  # mmengine reuses one of the same name, with its folder
        cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=1)
        cfg.param_scheduler = []
        cfg.default_hooks.logger.interval = 1
        cfg.default_hooks.checkpoint.save_best = 'accuracy/top1'
        for key, value in settings.items():
            cfg[key] = value
        runner = Runner.from_cfg(cfg)
        hook = ReportHook(out)
        runner.register_hook(hook)
        runner.train()
        return runner, hook

    return run


def test_next_commands_can_be_copied():
    runner = SimpleNamespace(cfg=SimpleNamespace(filename='my config.py'))
    lines = describe_next(runner, 'w 6/best.pth').splitlines()
    assert lines[1:] == [
        "Next: mmcednet infer 'my config.py' 'w 6/best.pth' IMAGES -o predictions",
        "      mmcednet evaluate 'my config.py' 'w 6/best.pth'",
    ]


def test_report_of_the_best_validation(train, tmp_path, monkeypatch):
    # pictures that always take too long are drawn at the end only
    drawn = []
    original = ReportHook.write_curves
    monkeypatch.setattr('mmcednet.report.hook.MAX_SHARE', 0.0)
    monkeypatch.setattr(
        ReportHook,
        'write_curves',
        lambda hook, runner: [drawn.append(runner.epoch), original(hook, runner)],
    )
    runner, hook = train(tmp_path / 'report', 2, 'complete')
    assert drawn == [2]
    assert {path.name for path in (tmp_path / 'report').iterdir()} == FILES
    best = runner.message_hub.get_info('best_ckpt')
    assert hook.best_checkpoint == best
    records, metrics = hook.best
    assert metrics['accuracy/top1'] == pytest.approx(
        100 * sum(record['true'] == record['predicted'] for record in records) / 4
    )
    scores = runner.message_hub.get_scalar('val/accuracy/top1').data[0]
    assert metrics['accuracy/top1'] == pytest.approx(max(scores))

    # resumed, and no validation is better: the report stays that of the best checkpoint
    path = tmp_path / 'complete' / 'epoch_2.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['message_hub']['runtime_info']['best_score'] = 1000.0
    torch.save(checkpoint, path)
    runner, hook = train(tmp_path / 'again', 3, 'complete', resume=True, load_from=str(path))
    assert hook.best is None
    assert hook.best_checkpoint == best
    assert (tmp_path / 'again' / 'curves.png').is_file()
    assert not (tmp_path / 'again' / 'classes.csv').exists()


def test_a_training_does_not_fail_where_nothing_can_be_drawn(train, tmp_path):
    (tmp_path / 'file').write_text('no folder')
    runner, _ = train(tmp_path / 'file' / 'report', 1, 'failing')
    assert runner.epoch == 1
    assert (tmp_path / 'failing' / 'epoch_1.pth').is_file()
    assert (tmp_path / 'file').read_text() == 'no folder'
    log = next((tmp_path / 'failing').glob('*/*.log')).read_text()
    assert 'No picture: NotADirectoryError' in log


def test_an_error_of_all_images_is_logged_once(tmp_path):
    MMLogger.get_instance('test_hook', log_file=str(tmp_path / 'a.log'))
    hook = ReportHook(tmp_path)
    for text in ('a', 'a', 'b', 'a'):
        assert hook.attempt(int, text) is None
    lines = [line for line in (tmp_path / 'a.log').read_text().splitlines() if 'No picture' in line]
    assert [line[-3:] for line in lines] == ["'a'", "'b'"]


def test_a_training_that_had_ended_is_resumed(train, tmp_path):
    train(tmp_path / 'report', 1, 'ended')
    curves = (tmp_path / 'report' / 'curves.csv').read_text()
    checkpoint = str(tmp_path / 'ended' / 'epoch_1.pth')
    train(tmp_path / 'report', 1, 'again', load_from=checkpoint, resume=True)
    assert (tmp_path / 'report' / 'curves.csv').read_text() == curves
    log = next((tmp_path / 'again').glob('*/*.log')).read_text()
    assert 'No picture' not in log


def test_table_of_many_classes_has_the_worst():
    number = 2 * MAX_ROWS
    table = {
        'class': [f'class {index:02d}' for index in range(number)],
        'objects': [3] * number,
        'AP': [1 - index / number for index in range(number - 1)] + [float('nan')],
    }
    evaluation = Evaluation(table, None, [], '')
    text = format_table(evaluation.table)
    assert 'the 30 worst of 60 classes' in text
    assert 'class 58' in text
    assert 'class 59' not in text  # without objects
    assert 'class 28' not in text
