"""ValueError and FileNotFoundError become one-sentence errors; others keep their traceback."""

import pytest

from mmcednet.engine.command_line import exit_on_error


@pytest.mark.parametrize('error', [ValueError('lr -1'), FileNotFoundError('lr -1')])
def test_errors_of_users_become_an_exit_code(error):
    with pytest.raises(SystemExit) as caught, exit_on_error():
        raise error
    assert caught.value.code == 'error: lr -1'  # printed to stderr, exit code 1


def test_other_errors_keep_their_traceback():
    with pytest.raises(TypeError), exit_on_error():
        raise TypeError
