"""tools/demo.py on a few images; `make demo` shows whether a model learns."""

import runpy
from types import SimpleNamespace

import cv2
import pytest

BOX_AP = 'box AP (0.50:0.95)'
MASK_AP = 'mask AP (0.50:0.95)'
SHOWN = {
    'retinanet': [BOX_AP],
    'mask_rcnn': [BOX_AP, MASK_AP],
    'cascade_mask_rcnn': [BOX_AP, MASK_AP],
    'deformable_detr': [BOX_AP],
    'upernet': ['mIoU'],
}
PANELS = dict.fromkeys(SHOWN, 2) | {'upernet': 3}
# After so few steps RetinaNet has no scores above its threshold, and without detections there is no AP.
SETTINGS = {'retinanet': 'model = dict(test_cfg=dict(score_thr=0.0))\n'}


@pytest.fixture
def demo(root):
    """The functions of tools/demo.py."""
    return SimpleNamespace(**runpy.run_path(str(root / 'tools' / 'demo.py')))


@pytest.mark.slow
@pytest.mark.parametrize('framework', SHOWN)
def test_run(demo, root, tmp_path, capsys, shapes, framework):
    config = tmp_path / 'short.py'
    config.write_text(
        f"_base_ = '{demo.find_demo_config(root / 'configs', framework)}'\n"
        'train_cfg = dict(max_epochs=2, val_interval=1)\n'
        'default_hooks = dict(logger=dict(interval=1))\n'
        # The garbage collector waits 5 s for each persistent worker of an earlier run.
        'train_dataloader = dict(persistent_workers=False)\n'
        'val_dataloader = dict(persistent_workers=False)\n' + SETTINGS.get(framework, '')
    )
    results = demo.run_demo(config, shapes, tmp_path / 'work', seed=0)
    assert list(results) == SHOWN[framework]
    assert all(0 <= value <= 1 for value in results.values())
    shown = capsys.readouterr().out.splitlines()
    for line, title in zip(shown[-2 - len(results) :], results):
        assert line == f'{title}: {results[title]:.3f} on 3 validation images'
    assert shown[-2] == f'checkpoint: {tmp_path / "work" / "epoch_2.pth"}'
    assert (tmp_path / 'work' / 'epoch_2.pth').is_file()
    report = tmp_path / 'work' / 'report'
    assert shown[-1] == f'pictures and tables: {report}'
    height, width = cv2.imread(str(report / 'predictions.png')).shape[:2]
    # three images of 64 x 64, enlarged, side by side, with titles and margins, and the legend
    side = 288
    assert height == side + 32
    assert 100 < width - 3 * (PANELS[framework] * (side + 4) + 24) < 400
    for name in ('curves.png', 'training_images.png', 'worst_images.png', 'confusion_matrix.png'):
        assert cv2.imread(str(report / name)) is not None
    assert not any('Average Precision' in line for line in shown)
    assert any('epoch 1/2' in line and all(title in line for title in results) for line in shown)


def test_unknown_framework_is_reported(demo):
    message = f"^error: framework 'yolo' is unknown; choose one of: {', '.join(sorted(SHOWN))}$"
    with pytest.raises(SystemExit, match=message):
        demo.main(['--framework', 'yolo'])
