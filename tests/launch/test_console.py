"""What a training prints, and what only its log file has."""

import io
import sys
import warnings

from mmengine.logging import MMLogger
from rich.console import Console

from mmcednet.launch.quiet import QuietStream, quiet_console
from mmcednet.visualization.progress import AboveBar


def test_messages_for_the_log_are_in_its_file_only(capsys, tmp_path):
    path = tmp_path / 'run.log'
    with quiet_console():
        logger = MMLogger('test_messages_for_the_log', log_file=str(path))
        logger.info('Config:\nlr = 1')
        logger.warning('"FileClient" will be deprecated in future. Please use io functions')
        logger.warning('The backbone starts from random weights')
        print('Could not import OneDL')
        print(' Average Precision  (AP) = 0.5')
        logger.info('Epoch(train) [1][1/2]')
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3
    assert shown[0].endswith('The backbone starts from random weights')
    assert shown[1] == ' Average Precision  (AP) = 0.5'
    assert shown[2].endswith('Epoch(train) [1][1/2]')
    assert not isinstance(sys.stdout, QuietStream)
    log = path.read_text()
    for text in ('lr = 1', 'FileClient', 'random weights', 'Epoch(train)'):
        assert text in log


def test_a_bar_replaces_the_lines_of_iterations_and_of_pycocotools(capsys):
    with quiet_console():
        assert isinstance(sys.stdout, QuietStream)
        sys.stdout.has_bar = True
        logger = MMLogger('test_a_bar_replaces')
        logger.info('Epoch(train) [1][1/2]')
        print(' Average Precision  (AP) = 0.5')
        print('creating index...')
        print()
        logger.info('Results: mask AP 0.5')
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == ''
    assert shown[1].endswith('Results: mask AP 0.5')
    assert len(shown) == 2


def test_warnings_that_no_user_can_act_on():
    with warnings.catch_warnings(record=True) as caught, quiet_console():
        warnings.warn('faster_coco_eval is not installed, metrics', stacklevel=1)
        warnings.warn('another', stacklevel=1)
    assert [str(warning.message) for warning in caught] == ['another']


def test_lines_above_a_bar_are_not_broken():
    """A path is copied from there; a bar's console would break it at its width."""
    stream = io.StringIO()
    above = AboveBar(Console(file=stream, width=20, force_terminal=True, color_system=None))
    path = '/a/path/that/is/longer/than/the/console.pth'
    print(f'saved [1/2] {path}', end='', file=above)
    assert stream.getvalue() == ''
    print(file=above)
    assert stream.getvalue() == f'saved [1/2] {path}\n'
