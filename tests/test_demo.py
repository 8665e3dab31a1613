"""The demo's steps on a few images; its AP is a matter of `make demo`."""

import json

import cv2
import pytest

from mmcednet import demo

CONFIG = 'configs/retinanet/cednet_nano_shapes.py'


@pytest.mark.slow
def test_run(root, tmp_path, capsys, shapes):
    config = tmp_path / 'short.py'
    config.write_text(
        f"_base_ = '{root / CONFIG}'\n"
        'train_cfg = dict(max_epochs=2, val_interval=1)\n'
        'default_hooks = dict(logger=dict(interval=1))\n'
        'model = dict(test_cfg=dict(score_thr=0.0))\n'
    )
    ap = demo.run(config, shapes, tmp_path / 'work', seed=0)
    assert 0 <= ap <= 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[-3] == f'box AP (0.50:0.95): {ap:.3f} on 3 validation images'
    assert shown[-2] == f'checkpoint: {tmp_path / "work" / "epoch_2.pth"}'
    assert (tmp_path / 'work' / 'epoch_2.pth').is_file()
    detections, curves = tmp_path / 'work' / 'detections.png', tmp_path / 'work' / 'curves.png'
    assert shown[-1] == f'pictures: {detections} and {curves}'
    height, width = cv2.imread(str(detections)).shape[:2]
    assert (height, width) == (3 * 64 + 32, 3 * (2 * (3 * 64 + 4) + 24))
    assert cv2.imread(str(curves)) is not None
    assert any('epoch 1/2' in line for line in shown)


def test_curves_show_the_log(tmp_path, monkeypatch):
    log = tmp_path / 'scalars.json'
    entries = [dict(loss=2.0, iter=10, step=10), dict(loss=1.0, iter=20, step=20)]
    entries += [{demo.AP: 0.25, 'step': 1}]
    log.write_text('\n'.join(map(json.dumps, entries)))
    figures = []
    monkeypatch.setattr(demo.plt, 'close', figures.append)
    demo.draw_curves(log, tmp_path / 'curves.png')
    losses, aps = (axes.lines[0].get_xydata().tolist() for axes in figures[0].axes)
    assert losses == [[10, 2.0], [20, 1.0]]
    assert aps == [[1, 0.25]]
    assert [path.name for path in tmp_path.glob('*.png')] == ['curves.png']
