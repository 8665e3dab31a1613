import pytest

from mmcednet.paper.tables import Row, iter_rows


@pytest.fixture(scope='session')
def all_rows(root) -> list[Row]:
    """All rows of the paper; counting their complexity takes a minute or two."""
    return list(iter_rows(root / 'configs'))
