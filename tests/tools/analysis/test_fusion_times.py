"""Figure 1 with every network of the paper's tables."""

import pytest
from matplotlib.text import Text
from paper.fusion_times import draw_fusion_times, group_panels, iter_fusion_times
from paper.tables import CONFIGS, Row, get_method_name, load_paper_rows

from mmcednet.analysis.fusion_time import FusionTime


def make_rows() -> list[Row]:
    """All rows of the paper, without their complexity."""
    return [
        Row(
            table=row['table'],
            framework=row['framework'],
            method=get_method_name(row),
            paper_params=None,
            paper_macs=None,
            paper_ap=row.get('ap', row.get('miou_ss')),
            config=CONFIGS[row['table'], get_method_name(row)],
            params=0.0,
            macs=0.0,
        )
        for row in load_paper_rows()
    ]


def make_times() -> dict[str, FusionTime]:
    """Invented fusion times, different for each config, between 0 and 1."""
    configs = list(dict.fromkeys(CONFIGS.values()))
    return {
        config: FusionTime(before=i, total=len(configs), fuses=True, blocks=None)
        for i, config in enumerate(configs)
    }


def test_short_trainings_have_their_own_panel():
    panels = group_panels(make_rows())
    assert list(panels) == [
        *('RetinaNet', 'Deformable DETR', 'Mask R-CNN', 'Cascade Mask R-CNN', 'UPerNet'),
        'RetinaNet, 12 epochs',
    ]
    assert {row.table for row in panels['RetinaNet, 12 epochs']} == {'4', '6'}
    assert len(panels['RetinaNet, 12 epochs']) == 8  # in both tables: 1, 2 and 3 stages


def test_every_network_is_a_point_with_its_name():
    rows, times = make_rows(), make_times()
    figure = draw_fusion_times(rows, times)
    drawn = {}
    for panel in figure.axes:
        points = {(*line.get_xydata()[0],) for line in panel.lines}
        names = {(*text.xy, text.get_text()) for text in panel.texts}
        assert points == {name[:2] for name in names}
        drawn[panel.get_title()] = names
    for title, members in group_panels(rows).items():
        assert len(drawn[title]) == len(members)
        for row in members:
            x = 100 * times[row.config].share
            (name,) = (text for *point, text in drawn[title] if point == [x, row.paper_ap])
            assert row.method.endswith(name)
    assert 'fusion 2/6' in {name for *_, name in drawn['RetinaNet, 12 epochs']}
    assert 'CEDNet-NeXt-S' in {name for *_, name in drawn['Deformable DETR']}


def test_names_do_not_overlap():
    figure = draw_fusion_times(make_rows(), make_times())
    figure.canvas.draw()
    for panel in figure.axes:
        boxes = [Text.get_window_extent(text) for text in panel.texts]  # without the line to the point
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_fusion_times_are_measured_once_per_config(root):
    rows = [row for row in make_rows() if row.config == 'retinanet/cednet_t.py']
    assert len(rows) > 1
    ((config, time),) = iter_fusion_times(root / 'configs', rows)
    assert config == 'retinanet/cednet_t.py'
    assert time.share == pytest.approx(0.323, abs=5e-4)
