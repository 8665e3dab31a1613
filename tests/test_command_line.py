"""ValueError and OSError become one-sentence errors; others keep their traceback."""

import pytest

from mmcednet.command_line import exit_on_error
from mmcednet.images import ImageError


@pytest.mark.parametrize('error', [ValueError('lr -1'), FileNotFoundError('lr -1')])
def test_errors_of_users_become_an_exit_code(error):
    with pytest.raises(SystemExit) as caught, exit_on_error():
        raise error
    assert caught.value.code == 'error: lr -1'  # printed to stderr, exit code 1


def test_errors_of_the_system_name_the_file(tmp_path):
    with pytest.raises(SystemExit) as caught, exit_on_error():
        tmp_path.read_text()
    assert caught.value.code == f'error: {tmp_path}: Is a directory'


def test_other_errors_keep_their_traceback():
    with pytest.raises(TypeError), exit_on_error():
        raise TypeError


def test_chosen_errors():
    with pytest.raises(ValueError, match='lr -1'), exit_on_error(ImageError):
        raise ValueError('lr -1')


def test_sentence_of_an_error_in_a_worker():
    """torch raises it again with the worker's traceback in its message."""
    with pytest.raises(SystemExit) as caught, exit_on_error(ImageError):
        raise ImageError(
            'Caught ImageError in worker 0.\nTraceback\n...images.ImageError: a.png is bad\n'
        )
    assert caught.value.code == 'error: a.png is bad'
