"""The command mmcednet starts the tools, whose help needs neither torch nor a toolbox."""

import re
import subprocess
import sys

import pytest

import mmcednet_cli
from mmcednet.checkpoints.shipped import SHIPPED
from mmcednet.converters.baselines import BASELINES
from mmcednet.own_data.new_config import ARCHS, FRAMEWORKS

# Prints the help of every command in one process, and then the packages that it has imported
HELP = """
import sys
from contextlib import suppress
from mmcednet_cli import COMMANDS, main
for command in COMMANDS:
    print('## ' + command)
    with suppress(SystemExit):
        main([command, '--help'])
print('##', *{name.split('.')[0] for name in sys.modules})
"""


@pytest.fixture(scope='module')
def printed(root) -> list[str]:
    """The help of each command, and the imported packages."""
    result = subprocess.run(
        [sys.executable, '-c', HELP], cwd=root, capture_output=True, text=True, check=True
    )
    return result.stdout.split('## ')[1:]


def test_help_imports_no_torch(printed):
    imported = set(printed[-1].split())
    assert 'argparse' in imported
    assert not imported & {'torch', 'mmcednet', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'cv2'}


def test_usage_has_the_command(printed):
    for text in printed[:-1]:
        command, usage = text.splitlines()[:2]
        assert usage.startswith(f'usage: mmcednet {command} [-h]')


def test_help_names_what_may_be_chosen(printed):
    """Written twice, since what is checked when a command runs needs torch."""
    words = {text.split()[0]: set(re.findall(r'\w+', text)) for text in printed[:-1]}
    assert words['new-config'] >= {*FRAMEWORKS, *ARCHS, *SHIPPED}
    assert words['train'] >= {*SHIPPED}
    assert words['baselines'] >= {*BASELINES}


def test_unknown_command():
    with pytest.raises(SystemExit, match="there is no command 'trian'; choose one of: new-config, "):
        mmcednet_cli.main(['trian'])


def test_exit_code_of_a_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['mmcednet', 'train', 'absent.py'])
    monkeypatch.setattr(mmcednet_cli, 'limit_threads', lambda: None)  # those of this process
    with pytest.raises(SystemExit, match=r'error: config absent\.py does not exist'):
        mmcednet_cli.main()
