"""Config files of a few lines."""

import pytest
from mmengine.config import Config

from mmcednet.config_files import WIDTH, get_type, iter_dicts, list_configs, read_config, write_config

SETTINGS = dict(
    _base_='base.py',
    custom_imports=dict(imports=['mmcednet']),
    model=dict(
        backbone=dict(_delete_=True, type='CEDNet', arch='tiny', pyramid=dict(levels=(3, 4, 5))),
        neck=None,
        single=(5,),
        empty=dict(),
        numbers={0: 'a', 1: -1.5},
        heads=[dict(type='FCNHead', in_channels=index, norm_cfg=dict(type='BN')) for index in range(4)],
        **{'keyword': dict(**{'class': 1})},
    ),
)
COMMENTS = {'model.backbone': 'the reason ' * 20, 'model.heads.1': 'the second head'}


@pytest.fixture
def base(tmp_path):
    path = tmp_path / 'base.py'
    path.write_text("model = dict(backbone=dict(type='ResNet', depth=50), neck=dict(type='FPN'))\n")
    return path


def test_config_resolves_to_the_settings_on_the_base(base, tmp_path):
    path = tmp_path / 'my.py'
    cfg = write_config(path, 'A header', SETTINGS, COMMENTS)
    expected = dict(SETTINGS['model'])
    expected['backbone'] = {k: v for k, v in expected['backbone'].items() if k != '_delete_'}
    assert cfg.model.to_dict() == expected
    assert Config.fromfile(path).model == cfg.model
    lines = path.read_text().splitlines()
    assert lines[:4] == [
        '# A header',
        "_base_ = 'base.py'",
        '',
        "custom_imports = dict(imports=['mmcednet'])",
    ]
    assert max(map(len, lines)) <= WIDTH
    assert lines[lines.index('        # the second head') + 1].startswith("        dict(type='FCNHead'")
    assert {item.name for item in tmp_path.iterdir()} == {'base.py', 'my.py'}


def test_existing_file_is_not_overwritten(base, tmp_path):
    with pytest.raises(ValueError, match=r'base\.py exists already; remove it, or choose another'):
        write_config(base, 'A header', SETTINGS)
    assert 'ResNet' in base.read_text()


@pytest.mark.parametrize(
    ('name', 'settings', 'message'),
    [
        ('my.yaml', SETTINGS, 'must end in .py'),
        ('my.py', dict(_base_='missing.py'), r'would not load .*missing\.py.*; nothing was written'),
    ],
)
def test_nothing_is_written_on_errors(name, settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_config(tmp_path / name, 'A header', settings)
    assert not list(tmp_path.iterdir())


def test_config_in_pure_python(root, tmp_path):
    """Its types are classes, and it has no default scope."""
    source = root / 'tests' / 'assets' / 'pure_python.py'
    cfg = read_config(str(source))
    assert (cfg.default_scope, get_type(cfg.model.backbone)) == ('mmdet', 'CEDNet')
    path = tmp_path / 'my.py'
    path.write_text(source.read_text().replace('import CocoDataset', 'import Absent as CocoDataset'))
    with pytest.raises(ValueError, match=r'my\.py does not load: ImportError: Failed to import Absent'):
        read_config(str(path))


def test_default_scope_stays(tmp_path):
    path = tmp_path / 'my.py'
    path.write_text("default_scope = 'mmseg'\nmodel = dict(type='mmdet.RetinaNet')\n")
    assert read_config(str(path)).default_scope == 'mmseg'
    path.write_text("model = dict(type='RetinaNet')\n")
    assert read_config(str(path)).get('default_scope') is None


def test_dicts_at_any_depth_may_be_changed():
    node = dict(a=[dict(type='SyncBN'), (dict(b=dict(type='SyncBN')),)], c='SyncBN')
    for part in iter_dicts(node):
        if part.get('type') == 'SyncBN':
            part['type'] = 'BN'
    assert node == dict(a=[dict(type='BN'), (dict(b=dict(type='BN')),)], c='SyncBN')


def test_one_config_or_several():
    assert list_configs(None) == []
    assert list_configs(dict(type='A')) == [dict(type='A')]
    assert list_configs((dict(type='A'), dict(type='B'))) == [dict(type='A'), dict(type='B')]
