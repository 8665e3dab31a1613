"""Files that the converters of published checkpoints refuse: one sentence, and nothing is written."""

import os

import pytest
import torch
from hostile_checkpoints import write_all

TOOLS = {
    'baselines': ('model_converters/baselines.py', 'cswin'),
    'official_cednet': ('model_converters/official_cednet.py',),
}


@pytest.fixture(params=TOOLS)
def convert(request, get_error):
    """Run a converter, which must fail, and return its message."""
    tool, *args = TOOLS[request.param]
    return lambda *files: get_error(tool, *args, *files)


def write(path, kind):
    """Write a file that is no checkpoint, or none that is complete."""
    torch.save(dict(state_dict=dict(weight=torch.zeros(1000))), path)
    whole = path.read_bytes()
    contents = {
        'empty': b'',
        'half': whole[: len(whole) // 2],
        'without its end': whole[:-10],
        'zeros': bytes(1000),
        'text': b'hello world\n',
        'yaml': b'a: b\n',
        'html': b'<html>not found</html>',
        'LFS pointer': b'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n',
    }
    path.write_bytes(contents[kind])


@pytest.mark.parametrize(
    'kind',
    ['empty', 'half', 'without its end', 'zeros', 'text', 'yaml', 'html', 'LFS pointer'],
)
def test_files_that_are_no_checkpoints(convert, tmp_path, kind):
    source, target = tmp_path / 'in.pth', tmp_path / 'out.pth'
    write(source, kind)
    message = convert(source, target)
    assert message.startswith(f'error: {source} cannot be read as a checkpoint: ')
    assert len(message.splitlines()) == 1
    assert not target.exists()


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (
            dict(state_dict_ema={'norm1.weight': torch.zeros(1)}, epoch=3),
            "has no weights under 'state_dict' or 'model' or at its top level (its keys: "
            "'state_dict_ema', 'epoch'); save those that are to be converted under 'state_dict'",
        ),
        (dict(), '(its keys: none)'),
        (dict(state_dict={}), 'has no weights'),
        (dict(model=dict(epoch=1), args=None), 'has no weights'),
        ([torch.zeros(1)], 'is not a checkpoint: it contains a list'),
    ],
    ids=['average', 'empty', 'empty-state', 'no-tensor', 'list'],
)
def test_files_without_weights(convert, tmp_path, content, words):
    source, target = tmp_path / 'in.pth', tmp_path / 'out.pth'
    torch.save(content, source)
    message = convert(source, target)
    assert message.startswith(f'error: {source} ') and words in message
    assert not target.exists()


def test_a_classifier_without_a_backbone(get_error, tmp_path):
    source = tmp_path / 'in.pth'
    torch.save({'head.bias': torch.zeros(4)}, source)
    message = get_error('model_converters/baselines.py', 'cswin', source, tmp_path / 'out.pth')
    assert message == (
        f'error: {source} has only weights that this project does not use, such as head.bias'
    )


def test_an_output_that_is_a_folder(convert, tmp_path):
    source = tmp_path / 'in.pth'
    torch.save({'norm1.weight': torch.zeros(1)}, source)
    assert convert(source, tmp_path) == f'error: {tmp_path} is a folder; name the file to write'


def test_an_output_below_a_file(load_main, tmp_path):
    source = tmp_path / 'in.pth'
    torch.save({'norm1.weight': torch.zeros(1)}, source)
    target = source / 'out.pth'
    with pytest.raises(SystemExit) as caught:
        load_main('model_converters/baselines.py')(['cswin', str(source), str(target)])
    assert caught.value.code.startswith(f'error: {source}')


def test_code_is_refused(convert, tmp_path):
    marker = tmp_path / 'marker'
    source = write_all(tmp_path, marker)['copy']
    message = convert(source, tmp_path / 'out.pth')
    assert message.startswith(f'error: {source} contains shutil.copyfile, which may run code')
    assert 'set TORCH_FORCE_WEIGHTS_ONLY_LOAD=0' in message
    assert not marker.exists()


def test_the_refusal_suggests_what_works(convert, tmp_path, monkeypatch):
    marker = tmp_path / 'marker'
    monkeypatch.setitem(os.environ, 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    message = convert(write_all(tmp_path, marker)['copy'], tmp_path / 'out.pth')
    assert "unexpected key 'weight'" in message  # the file is read
    assert marker.exists()
