"""The demo's steps on a few images; its AP is a matter of `make demo`."""

import json

import cv2
import pytest
import torch
from mmengine.structures import InstanceData

from mmcednet import demo

BOX_AP = 'box AP (0.50:0.95)'
MASK_AP = 'mask AP (0.50:0.95)'
SHOWN = {
    'retinanet': [BOX_AP],
    'mask_rcnn': [BOX_AP, MASK_AP],
    'cascade_mask_rcnn': [BOX_AP, MASK_AP],
    'deformable_detr': [BOX_AP],
}


@pytest.mark.slow
@pytest.mark.parametrize('framework', SHOWN)
def test_run(root, tmp_path, capsys, shapes, framework):
    config = tmp_path / 'short.py'
    config.write_text(
        f"_base_ = '{demo.find_config(root / 'configs', framework)}'\n"
        'train_cfg = dict(max_epochs=2, val_interval=1)\n'
        'default_hooks = dict(logger=dict(interval=1))\n'
        'model = dict(test_cfg=dict(score_thr=0.0))\n'
    )
    results = demo.run(config, shapes, tmp_path / 'work', seed=0)
    assert list(results) == SHOWN[framework]
    assert all(0 <= value <= 1 for value in results.values())
    shown = capsys.readouterr().out.splitlines()
    for line, title in zip(shown[-2 - len(results) :], results):
        assert line == f'{title}: {results[title]:.3f} on 3 validation images'
    assert shown[-2] == f'checkpoint: {tmp_path / "work" / "epoch_2.pth"}'
    assert (tmp_path / 'work' / 'epoch_2.pth').is_file()
    detections, curves = tmp_path / 'work' / 'detections.png', tmp_path / 'work' / 'curves.png'
    assert shown[-1] == f'pictures: {detections} and {curves}'
    height, width = cv2.imread(str(detections)).shape[:2]
    assert (height, width) == (3 * 64 + 32, 3 * (2 * (3 * 64 + 4) + 24))
    assert cv2.imread(str(curves)) is not None
    assert any('epoch 1/2' in line and all(title in line for title in results) for line in shown)


def test_a_wrong_framework(root):
    with pytest.raises(ValueError, match=f'must be one of {", ".join(sorted(SHOWN))}$'):
        demo.find_config(root / 'configs', 'yolo')


def test_enlarged_masks_fit_their_boxes():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 2:4, 1:5] = True
    instances = InstanceData(bboxes=torch.tensor([[1.0, 2, 5, 4]]), masks=masks)
    demo.enlarge(instances)
    left, top, right, bottom = instances.bboxes[0].int().tolist()
    assert instances.masks.shape == (1, 8 * demo.ENLARGED, 8 * demo.ENLARGED)
    assert instances.masks[0, top:bottom, left:right].all()
    assert instances.masks.sum() == 2 * 4 * demo.ENLARGED**2


def test_curves_show_the_log(tmp_path, monkeypatch):
    log = tmp_path / 'scalars.json'
    entries = [dict(loss=2.0, iter=10, step=10), dict(loss=1.0, iter=20, step=20)]
    entries += [{'box': 0.25, 'mask': 0.125, 'step': 1}]
    log.write_text('\n'.join(map(json.dumps, entries)))
    figures = []
    monkeypatch.setattr(demo.plt, 'close', figures.append)
    demo.draw_curves(log, dict(box='box AP', mask='mask AP'), tmp_path / 'curves.png')
    left, right = figures[0].axes
    assert left.lines[0].get_xydata().tolist() == [[10, 2.0], [20, 1.0]]
    assert [line.get_label() for line in right.lines] == ['box AP', 'mask AP']
    assert [line.get_xydata().tolist() for line in right.lines] == [[[1, 0.25]], [[1, 0.125]]]
    assert [path.name for path in tmp_path.glob('*.png')] == ['curves.png']
