"""Table 1's last column, measured on this machine."""

import runpy

import pytest
import torch
from paper.table_speed import REFERENCE, measure_table
from paper.tables import CONFIGS

PAPER_RATIOS = (1, 0.905, 0.84, 0.795, 0.815, 0.62, 0.795, 0.835, 0.855)


@pytest.mark.slow
def test_table(root):
    rows = measure_table(root / 'configs', image_size=(128, 128), rounds=1, dtype=torch.bfloat16)
    assert [row.paper_ratio for row in rows] == pytest.approx(PAPER_RATIOS)
    reference = next(row for row in rows if row.method == REFERENCE)
    assert reference.ratio == 1
    for row in rows:
        assert row.config == CONFIGS['1', row.method]
        assert row.ratio == pytest.approx(reference.seconds / row.seconds)


def test_other_tables_are_refused(root):
    main = runpy.run_path(str(root / 'tools' / 'analysis' / 'paper_tables.py'))['main']
    for args in (['--table', '2a'], ['--table', '1', '--format', 'json']):
        with pytest.raises(SystemExit, match='error: --speed prints Table 1 as a whole, as Markdown'):
            main([*args, '--speed'])
