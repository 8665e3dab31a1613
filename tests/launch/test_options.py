"""Which settings --cfg-options takes."""

import pytest
from mmengine.config import Config

from mmcednet.launch.options import apply_options


@pytest.fixture
def cfg():
    return Config(dict(model=dict(type='A'), max_epochs=2, train_cfg=dict(max_epochs=2), data_root='a'))


def test_settings_are_merged(cfg, log):
    apply_options(
        cfg, {'train_cfg.max_epochs': 3, 'model.depth': 18, 'randomness.seed': 1, 'resume': True}
    )
    assert cfg.train_cfg.max_epochs == 3 and cfg.model == dict(type='A', depth=18)
    apply_options(cfg, {'max_epochs': 3, 'train_cfg.max_epochs': 3, 'tta_test_cfg.mode': 'whole'})
    assert cfg.randomness.seed == 1 and cfg.resume and not log.records


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('max_epochs', '--cfg-options max_epochs=3 would change nothing, .*change it in the file'),
        ('trian_cfg.max_epochs', 'a config has no setting trian_cfg; did you mean train_cfg'),
        ('custom_imports', 'as custom_imports was used when the file was read; change it in the file'),
        ('cfg', '--cfg-options cfg=3: a config has no setting cfg'),
        ('xyz', '--cfg-options xyz=3: a config has no setting xyz$'),
    ],
)
def test_names_without_effect(cfg, name, message):
    with pytest.raises(ValueError, match=message):
        apply_options(cfg, {name: 3})


def test_variables_of_the_file(cfg, log):
    """A hook may read them, but the settings that were made of them are as before."""
    apply_options(cfg, {'data_root': 'b'})
    (record,) = log.records
    assert 'data_root=b changes no setting that was made of data_root when' in record.message
    assert cfg.data_root == 'b'
