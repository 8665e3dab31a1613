"""The tables: the counting rule by hand, the figures to meet, and the command."""

import json
import subprocess
import sys
import time

import pytest

from mmcednet import tables

CONFIG = """
default_scope = 'mmdet'
custom_imports = dict(imports=['mmcednet'])
model = dict(
    type='RetinaNet',
    backbone=dict(
        type='CEDNet',
        arch=dict(channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=1),
        final_decoder=False,
        pyramid=dict(levels=(3, 4, 5), channels=5)),
    neck=None,
    bbox_head=dict(
        type='RetinaHead', num_classes=2, in_channels=5, feat_channels=5, stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[8, 16, 32])))
"""


def test_cost_counts_every_multiply_add_by_hand(tmp_path):
    (tmp_path / 'tiny.py').write_text(CONFIG)
    ours = tables.cost(tmp_path / 'tiny.py', (64, 96))
    pixels = {k: 64 * 96 // 4**k for k in range(1, 6)}

    def conv(level, kernel, c_in, c_out, groups=1):
        weights = kernel**2 * c_in // groups * c_out
        return pixels[level] * weights, weights + c_out

    def ced(level, c, dwconvs=1):
        parts = [conv(level, 7, c, c, groups=c)] * dwconvs
        parts += [conv(level, 1, c, 4 * c), conv(level, 1, 4 * c, c), (0, c)]
        return [*parts, *[(0, 2 * c)] * dwconvs]

    def norm(c):
        return 0, 2 * c

    parts = [conv(1, 3, 3, 32), norm(32), conv(2, 3, 32, 4), norm(4), *ced(2, 4)]
    parts += [conv(3, 2, 4, 6), norm(6), *ced(3, 6), conv(4, 2, 6, 8), norm(8), *ced(4, 8)]
    parts += [conv(5, 2, 8, 10), norm(10), *ced(5, 10, dwconvs=2)]
    for level, c in ((3, 6), (4, 8), (5, 10)):
        parts += [conv(level, 1, c, 5), norm(5)]
    macs, params = (sum(column) for column in zip(*parts))
    for level in (3, 4, 5):  # the head's weights are shared by the levels
        macs += sum(conv(level, 3, 5, c)[0] for c in (5, 5, 2, 4))
    params += sum(conv(3, 3, 5, c)[1] for c in (5, 5, 2, 4))
    assert ours.params * 1e6 == pytest.approx(params)
    assert ours.macs * 1e9 == pytest.approx(macs)


def test_figures_are_met(root):
    found = list(tables.rows(root / 'configs', '2b'))
    assert [row.config for row in found].count(None) == 6
    for row in found:
        assert tables.deviations(row) == []


@pytest.mark.parametrize(
    ('change', 'number'),
    [
        (dict(params=38.91), 1),
        (dict(macs=254.8 * 1.0035), 1),
        (dict(params=40.1), 2),
        (dict(macs=254.8 * 1.01), 2),
        (dict(method='ConvNeXt-T', params=40.05), 1),
        (dict(method='ConvNeXt-T', params=39.9, macs=259), 0),
        (dict(method='ConvNeXt-T', macs=261), 1),
        (dict(config=None, params=None, macs=None), 0),
    ],
)
def test_deviations(change, number):
    row = tables.Row(
        table='2b',
        framework='retinanet',
        method='CEDNet-NeXt-T',
        paper_params=39.0,
        paper_macs=255.0,
        paper_ap=48.3,
        config='retinanet/cednet_t.py',
        params=38.88,
        macs=254.8,
    )
    assert tables.deviations(row) == []
    assert len(tables.deviations(row._replace(**change))) == number


def test_every_named_config_and_row_exists(root):
    rows = {
        (row['table'], f'{row["method"]} {row["aug"]}' if 'aug' in row else row['method'])
        for row in tables.paper_rows()
    }
    assert set(tables.CONFIGS) <= rows
    for config in tables.CONFIGS.values():
        assert (root / 'configs' / config).is_file()


def test_unknown_table():
    with pytest.raises(ValueError, match="table '9' is none of the paper: 1, 2a"):
        tables.paper_rows('9')


@pytest.mark.slow
def test_command(root):
    tool = [sys.executable, root / 'tools' / 'analysis' / 'paper_tables.py']
    start = time.time()
    checked = subprocess.run([*tool, '--check'], capture_output=True, text=True)
    print(f'all rows took {time.time() - start:.0f} s')
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == 2 + len(tables.paper_rows())
    assert '| 2b | CEDNet-NeXt-T | 38.88 | 39 | 254.8 | 255 |' in checked.stdout
    assert 'no config yet' in checked.stdout
    command = [*tool, '--table', '8', '--format', 'json']
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    without, with_lr = json.loads(out)
    assert without['config'] is None
    assert with_lr['params'] == pytest.approx(38.88, abs=0.01)


@pytest.mark.slow
def test_command_fails_where_a_figure_is_off(root):
    """The very command, with a figure to meet that is none of the network's."""
    code = (
        'import runpy, sys; from mmcednet import tables;'
        "tables.TEXT['retinanet/cednet_t.py'] = (38.8, 254.8);"
        "sys.argv = ['paper_tables.py', '--table', '1', '--check'];"
        f"runpy.run_path({str(root / 'tools/analysis/paper_tables.py')!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "the text's network has 38.8 M" in result.stderr
