"""The config in a checkpoint is read as data."""

import pytest
from mmengine.config import Config

from mmcednet.checkpoints.stored_config import get_config


def store(text: str) -> dict:
    return dict(meta=dict(cfg=text))


@pytest.mark.parametrize('name', ['retinanet/cednet_t', 'upernet/cednet_t', 'imagenet/cednet_t'])
def test_config_is_the_one_that_was_stored(root, name):
    cfg = Config.fromfile(root / 'configs' / f'{name}.py')
    found = get_config(store(cfg.pretty_text), 'a.pth')
    assert found.to_dict() == cfg.to_dict()


def test_names_that_are_no_keywords():
    found = get_config(store("a = dict({'b.c': dict(x=-1.5, y=(None, True)), 'd': [dict()]})"), 'a.pth')
    assert found.a == {'b.c': dict(x=-1.5, y=(None, True)), 'd': [dict()]}


@pytest.mark.parametrize(
    'text, reason',
    [
        ('import os', 'has more than values (line 1 is no assignment)'),
        ('a = print(1)', 'has more than values'),
        ('a = dict(print(1))', 'has more than values'),
        ('a = [open("x") for _ in "1"]', 'has more than values'),
        ('a.b = 1', 'has more than values (line 1 is no assignment)'),
        ('a = ', 'has more than values (invalid syntax'),
        ("a = dict(b=[dict(type='subprocess.run')])", 'builds subprocess.run, which may run code'),
        ("a = dict(type='mmengine.utils.call_command')", 'builds mmengine.utils.call_command, which'),
        ("custom_imports = dict(imports=['os'])", 'imports os, which may run code'),
    ],
)
def test_code_is_refused(text, reason):
    with pytest.raises(ValueError) as caught:
        get_config(store(text), 'a.pth')
    message = str(caught.value)
    assert message.startswith(f'the config in a.pth {reason}')
    assert message.endswith('; pass the config file, if you trust it')


@pytest.mark.parametrize('value', ['5', 'dict(imports=[5])', "dict(imports='mmcednet')"])
def test_imports_of_other_types(value):
    with pytest.raises(ValueError, match=r'the config in a\.pth has custom_imports=.*, but it must be'):
        get_config(store(f'custom_imports = {value}'), 'a.pth')


def test_a_module_that_does_not_exist():
    text = "custom_imports = dict(imports=['mmcednet.nothere'])"
    with pytest.raises(ValueError, match=r'in a\.pth imports mmcednet\.nothere: No module named '):
        get_config(store(text), 'a.pth')


def test_classes_of_toolboxes_are_built():
    text = "model = dict(type='mmpretrain.ConvNeXt')\ncustom_imports = dict(imports=['mmcednet'])"
    assert get_config(store(text), 'a.pth').model.type == 'mmpretrain.ConvNeXt'


def test_no_config():
    for loaded in (dict(), dict(meta=None), dict(meta=dict(cfg=''))):
        with pytest.raises(ValueError, match=r'a\.pth contains no config; pass the config file, too'):
            get_config(loaded, 'a.pth')
