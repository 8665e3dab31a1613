"""The notebook runs from start to end, with fewer images, and its pictures are drawn."""

import pytest

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')


@pytest.mark.slow
def test_first_steps(root, tmp_path):
    notebook = nbformat.read(root / 'docs' / 'first_steps.ipynb', as_version=4)
    committed = [count_pictures(cell) for cell in notebook.cells]
    (drawing,) = (cell for cell in notebook.cells if 'train=320' in cell.source)
    drawing.source = drawing.source.replace('train=320', 'train=32')
    resources = {'metadata': {'path': str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    assert [count_pictures(cell) for cell in notebook.cells] == committed
    assert sum(committed) == 3


def count_pictures(cell):
    return sum('image/png' in output.get('data', {}) for output in cell.get('outputs', []))
