"""benchmarks/data_pipeline.py."""

import importlib

import pytest

from mmcednet.data.shapes import draw_dataset

LSJ = 'mmdet::common/lsj-100e_coco-instance.py'


@pytest.fixture
def data_pipeline():
    return importlib.import_module('data_pipeline')


@pytest.fixture
def folder(tmp_path):
    draw_dataset(tmp_path / 'shapes', train=6, val=2, test=0, size=64, seed=0, single=False)
    return tmp_path / 'shapes'


def test_table(data_pipeline, root, folder, capsys):
    config = str(root / 'configs' / 'mask_rcnn' / 'cednet_t.py')
    args = [config, LSJ, '--data', str(folder), '--images', '4', '--rounds', '2']
    assert data_pipeline.main(args) == 0
    rows = [line.split(' | ') for line in capsys.readouterr().out.splitlines()[-3:]]
    assert [row[0] for row in rows] == ['| decoding', f'| {config}', f'| {LSJ}']
    assert rows[0][3] == '1.00 |'
    for row in rows[1:]:
        assert 0 < float(row[1]) < float(rows[0][1])


def test_samples_are_those_of_the_folder(data_pipeline, root, folder):
    config = str(root / 'configs' / 'retinanet' / 'cednet_t.py')
    dataset = data_pipeline.build_dataset(config, folder)
    assert len(dataset) == 6
    assert dataset[0]['inputs'].shape[0] == 3
    assert dataset.metainfo['classes'] == ('disc', 'square', 'triangle', 'star')


def test_errors(data_pipeline, root, folder, capsys):
    for name, message in (
        ('absent.py', r'config absent\.py does not exist'),
        (str(root / 'configs' / 'upernet' / 'cednet_t.py'), 'must be a CocoDataset'),
    ):
        with pytest.raises(SystemExit, match=f'error: .*{message}'):
            data_pipeline.main([name, '--data', str(folder)])
    with pytest.raises(SystemExit):
        data_pipeline.main(['a.py', '--data', str(folder), '--rounds', '0'])
    assert '--rounds 0 must be at least 1' in capsys.readouterr().err
