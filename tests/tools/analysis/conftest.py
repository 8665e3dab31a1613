import pytest
from paper.fusion_times import FusionTimes, iter_fusion_times
from paper.tables import Row, iter_rows


@pytest.fixture(scope='session')
def all_rows(root) -> list[Row]:
    """All rows of the paper; counting their complexity takes a minute or two."""
    return list(iter_rows(root / 'configs'))


@pytest.fixture(scope='session')
def all_times(root, all_rows) -> FusionTimes:
    """The fusion time of every config; measuring takes a minute or two."""
    return dict(iter_fusion_times(root / 'configs', all_rows))
