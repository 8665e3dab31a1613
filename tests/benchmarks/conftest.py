import pytest


@pytest.fixture(autouse=True)
def import_benchmarks(root, monkeypatch):
    """Make the modules next to the benchmarks importable, as for their scripts."""
    monkeypatch.syspath_prepend(root / 'benchmarks')
