"""The paper's tables: the expected values, and the command."""

import json
import runpy

import pytest
from paper import tables


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
    assert tables.find_deviations(row) == []
    assert len(tables.find_deviations(row._replace(**change))) == number


def test_all_configs_and_rows_exist(root):
    rows = {(row['table'], tables.get_method_name(row)) for row in tables.load_paper_rows()}
    assert set(tables.CONFIGS) == rows
    assert set(tables.KNOWN_DEVIATIONS) <= set(tables.CONFIGS)
    assert set(tables.EXPECTED_COST) <= set(tables.CONFIGS.values())
    for config in tables.CONFIGS.values():
        assert (root / 'configs' / config).is_file()


def test_unknown_tables_and_methods_are_reported():
    with pytest.raises(ValueError, match="table '9' is unknown; choose one of: 1, 2a"):
        tables.load_paper_rows('9')
    with pytest.raises(
        ValueError, match="'CEDNet-NeXt-B' is unknown in table 2b; choose one of: SpineNet-143, Swin-T"
    ):
        tables.load_paper_rows('2b', 'CEDNet-NeXt-B')
    assert [row['table'] for row in tables.load_paper_rows(method='CEDNet-NeXt-B')] == ['2d', '3']


@pytest.mark.slow
@pytest.mark.xdist_group('paper')  # all rows are counted once
def test_all_rows_have_the_expected_values(all_rows):
    assert [deviation for row in all_rows for deviation in tables.find_deviations(row)] == []
    assert len(all_rows) == len(tables.load_paper_rows())
    found = {(row.table, row.method): row for row in all_rows}
    assert found['2b', 'CEDNet-NeXt-T'].params == pytest.approx(38.88, abs=0.005)
    assert found['2b', 'CEDNet-NeXt-T'].macs == pytest.approx(254.8, abs=0.05)
    assert found['2d', 'CEDNet-NeXt-B'].params == pytest.approx(148.50, abs=0.005)
    assert found['2d', 'CEDNet-NeXt-B'].macs == pytest.approx(967.6, abs=0.05)
    assert found['8', 'CEDNet-NeXt-T without LR block'].params == pytest.approx(38.72, abs=0.01)
    assert found['8', 'CEDNet-NeXt-T with LR block'].params == pytest.approx(38.88, abs=0.01)


@pytest.fixture
def main(root):
    return runpy.run_path(str(root / 'tools' / 'analysis' / 'paper_tables.py'))['main']


def test_command(main, capsys):
    assert main(['--table', '2b', '--check']) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 + len(tables.load_paper_rows('2b'))
    assert '| 2b | CEDNet-NeXt-T | 38.88 |' in out
    assert 'Table 2b, SpineNet-143: ' in err
    assert err.endswith('8 rows checked, 0 values out of tolerance, 1 known deviations\n')


def test_json(main, capsys):
    assert main(['--table', '8', '--format', 'json']) == 0
    without, with_long_range = json.loads(capsys.readouterr().out)
    assert without['params'] == pytest.approx(38.72, abs=0.01)
    assert with_long_range['params'] == pytest.approx(38.88, abs=0.01)


def test_unknown_method_is_reported(main):
    with pytest.raises(SystemExit) as caught:
        main(['--table', '5', '--method', 'CSwin-S'])
    assert caught.value.code.startswith(
        "error: method 'CSwin-S' is unknown in table 5; choose one of: ResNet-50, CEDNet-R50-T"
    )


def test_value_out_of_tolerance(main, capsys, monkeypatch):
    """An expected value that the network does not have."""
    monkeypatch.setitem(tables.EXPECTED_COST, 'retinanet/cednet_t.py', (38.8, 254.8))
    assert main(['--table', '2b', '--method', 'CEDNet-NeXt-T', '--check']) == 1
    assert "from 38.8 M in the paper's text" in capsys.readouterr().err
