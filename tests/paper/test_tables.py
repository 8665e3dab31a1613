"""The tables: the figures to meet, and the command."""

import json
import subprocess
import sys
import time

import pytest

from mmcednet.paper import tables


def test_figures_are_met(root):
    found = list(tables.rows(root / 'configs', '2b'))
    assert [row.config for row in found].count(None) == 1
    for row in found:
        assert tables.deviations(row) == []


@pytest.mark.parametrize(
    ('change', 'number'),
    [
        (dict(table='2a', method='ConvNeXt-T', params=40.91, macs=199.5), 0),
        (dict(table='2a', method='ConvNeXt-T', params=39, macs=255), 2),
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
    rows = {(row['table'], tables.method_name(row)) for row in tables.paper_rows()}
    assert set(tables.CONFIGS) <= rows
    assert set(tables.KNOWN_DEVIATIONS) <= set(tables.CONFIGS)
    assert set(tables.TEXT) <= set(tables.CONFIGS.values())
    for config in tables.CONFIGS.values():
        assert (root / 'configs' / config).is_file()


def test_unknown_table_or_row():
    with pytest.raises(ValueError, match="table '9' is none of the paper: 1, 2a"):
        tables.paper_rows('9')
    with pytest.raises(ValueError, match="'CEDNet-NeXt-B' is no row of table 2b: SpineNet-143, Swin-T"):
        tables.paper_rows('2b', 'CEDNet-NeXt-B')
    assert [row['table'] for row in tables.paper_rows(method='CEDNet-NeXt-B')] == ['2d', '3']


@pytest.mark.slow
def test_command(root):
    tool = [sys.executable, root / 'tools' / 'analysis' / 'paper_tables.py']
    start = time.time()
    checked = subprocess.run([*tool, '--check'], capture_output=True, text=True)
    print(f'all rows took {time.time() - start:.0f} s')
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == 2 + len(tables.paper_rows())
    assert '| 2b | CEDNet-NeXt-T | 38.88 | 39 | 254.8 | 255 |' in checked.stdout
    assert '| 2d | CEDNet-NeXt-B | 148.50 | 148 | 967.6 | 968 |' in checked.stdout
    assert 'no config yet' in checked.stdout
    assert 'Table 2a, ConvNeXt-T: ' in checked.stderr
    assert checked.stderr.endswith(f'{len(tables.CONFIGS)} rows checked, 0 figures off, 4 explained\n')
    command = [*tool, '--table', '8', '--format', 'json']
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    without, with_lr = json.loads(out)
    assert without['params'] == pytest.approx(38.72, abs=0.01)
    assert with_lr['params'] == pytest.approx(38.88, abs=0.01)
    command = [*tool, '--table', '5', '--method', 'CSwin-S']
    absent = subprocess.run(command, capture_output=True, text=True)
    assert absent.returncode == 2
    assert absent.stderr.splitlines()[-1].startswith(
        "paper_tables.py: error: 'CSwin-S' is no row of table 5: ResNet-50, CEDNet-R50-T"
    )


@pytest.mark.slow
def test_command_fails_where_a_figure_is_off(root):
    """The very command, with a figure to meet that is none of the network's."""
    code = (
        'import runpy, sys; from mmcednet.paper import tables;'
        "tables.TEXT['retinanet/cednet_t.py'] = (38.8, 254.8);"
        "sys.argv = ['paper_tables.py', '--table', '1', '--check'];"
        f"runpy.run_path({str(root / 'tools/analysis/paper_tables.py')!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "the text's network has 38.8 M" in result.stderr
