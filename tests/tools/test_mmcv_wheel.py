"""mmcv_wheel.py with a real pip and environment, small wheels, and an index served by this process."""

import http.server
import re
import subprocess
import sys
import sysconfig
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
import torch

MMCV = 'onedl-mmcv==2.3.6'
PYTHON = f'cp{sys.version_info[0]}{sys.version_info[1]}'
PLATFORM = sysconfig.get_platform().replace('-', '_').replace('.', '_')
TORCH = torch.__version__.split('+')[0]
PAGE = f'cpu-torch{"".join(TORCH.split(".")[:2])}0/simple/onedl-mmcv'
OPERATORS = """
def nms(boxes, scores, iou_threshold):
    kept = scores.argsort(descending=True)[:2]
    return boxes[kept], kept
def get_compiling_cuda_version():
    return 'not available'
"""


@pytest.fixture
def python(tmp_path):
    """A new environment with the packages of the one that runs the tests, except mmcv."""
    venv = tmp_path / 'environment'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', venv], check=True)
    (site,) = venv.glob('lib/python*/site-packages')
    for path in Path(torch.__file__).parents[1].iterdir():
        if 'mmcv' not in path.name:
            (site / path.name).symlink_to(path)
    return venv / 'bin' / 'python'


@pytest.fixture
def mmcv_wheel(setup_env):
    return sys.modules['mmcv_wheel']


class Index(http.server.ThreadingHTTPServer):
    """Serves a folder; sends only half of the files whose names contain ``stalled``, then nothing."""

    stalled = 'no file'

    def __init__(self, folder):
        self.requests = []
        self.released = threading.Event()
        super().__init__(('127.0.0.1', 0), lambda *args: Handler(*args, directory=folder))
        self.url = f'http://127.0.0.1:{self.server_port}'


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.requests.append(self.path)

    def copyfile(self, source, outputfile):
        content = source.read()
        if self.server.stalled in self.path:
            outputfile.write(content[: len(content) // 2])
            outputfile.flush()
            self.server.released.wait()
        else:
            outputfile.write(content)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A running index with an empty page for the installed torch on the CPU."""
    (tmp_path / 'index' / PAGE).mkdir(parents=True, exist_ok=True)
    (tmp_path / 'index' / PAGE / 'index.html').touch()
    server = Index(tmp_path / 'index')
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv('MMCV_BASE_URL', server.url)
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(index):
    return f'{index.url}/{PAGE}/index.html'


@pytest.fixture
def add_wheel(tmp_path):
    """Build a wheel whose module mmcv has the given files, and link to it from the page."""

    def add(version='2.3.6', tags=f'{PYTHON}-{PYTHON}-{PLATFORM}', operators=OPERATORS, **files):
        folder = tmp_path / 'index' / PAGE
        folder.mkdir(parents=True, exist_ok=True)
        wheel = folder / f'onedl_mmcv-{version}-{tags}.whl'
        info = f'onedl_mmcv-{version}.dist-info'
        contents = {'mmcv/__init__.py': '', 'mmcv/ops.py': operators}
        contents |= {
            f'mmcv/{name}{sysconfig.get_config_var("EXT_SUFFIX")}': files[name] for name in files
        }
        contents[f'{info}/METADATA'] = f'Metadata-Version: 2.1\nName: onedl-mmcv\nVersion: {version}\n'
        contents[f'{info}/WHEEL'] = f'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tags}\n'
        contents[f'{info}/RECORD'] = ''.join(f'{name},,\n' for name in [*contents, f'{info}/RECORD'])
        with zipfile.ZipFile(wheel, 'w') as file:
            for name, content in contents.items():
                file.writestr(name, content)
        with open(folder / 'index.html', 'a') as file:
            file.write(f'<a href="../onedl-mmcv/{wheel.name}">{wheel.name}</a>\n')
        return wheel

    return add


@pytest.mark.parametrize(
    ('requirement', 'torch_version', 'device', 'expected'),
    [
        (MMCV, '2.11.0', 'cpu', 'https://mmwheels.onedl.ai/cpu-torch2110/simple/onedl-mmcv/index.html'),
        (
            MMCV,
            '2.9.1',
            'cu129',
            'https://mmwheels.onedl.ai/cu129-torch290/simple/onedl-mmcv/index.html',
        ),
        (
            'mmcv==2.1.0',
            '2.1.2',
            'cu121',
            'https://download.openmmlab.com/mmcv/dist/cu121/torch2.1.0/index.html',
        ),
    ],
)
def test_address_of_the_index_page(
    mmcv_wheel, monkeypatch, requirement, torch_version, device, expected
):
    monkeypatch.delenv('MMCV_BASE_URL', raising=False)
    assert mmcv_wheel.get_index_page(requirement, torch_version, device) == expected
    monkeypatch.setenv('MMCV_BASE_URL', 'http://mirror:8000/')
    mirrored = mmcv_wheel.get_index_page(requirement, torch_version, device)
    assert mirrored == 'http://mirror:8000/' + expected.split('/', 3)[3]
    monkeypatch.setenv('MMCV_BASE_URL', '')
    assert mmcv_wheel.get_index_page(requirement, torch_version, device) is None


def test_installation_page_names_the_same_pages(mmcv_wheel, root, monkeypatch):
    monkeypatch.delenv('MMCV_BASE_URL', raising=False)
    text = (root / 'docs' / 'installation.md').read_text(encoding='utf-8')
    named = re.findall(r'-f (https://\S+)', text)
    assert named == [
        mmcv_wheel.get_index_page(MMCV, '2.10.0', 'cpu'),
        mmcv_wheel.get_index_page('mmcv==2.1.0', '2.1.2', 'cpu'),
    ]


def test_wheel_that_fits_is_downloaded(mmcv_wheel, python, page, add_wheel, tmp_path, monkeypatch):
    monkeypatch.setenv('PIP_EXTRA_INDEX_URL', 'http://127.0.0.1:9/simple')  # must not be asked
    add_wheel('2.3.7')
    wheel = add_wheel()
    found = mmcv_wheel.download_wheel(python, MMCV, page, tmp_path)
    assert found == tmp_path / wheel.name
    assert found.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize(
    'wheel',
    [
        {},
        {'version': '2.3.7'},
        {'tags': f'cp39-cp39-{PLATFORM}'},
        {'tags': f'{PYTHON}-{PYTHON}-win_amd64'},
    ],
)
def test_index_without_a_wheel_that_fits(mmcv_wheel, python, page, add_wheel, tmp_path, wheel):
    if wheel:
        add_wheel(**wheel)
    with pytest.raises(mmcv_wheel.NoWheelError) as caught:
        mmcv_wheel.download_wheel(python, MMCV, page, tmp_path)
    assert str(caught.value) == f'{page} has no wheel of {MMCV} for this torch, Python and platform'


def test_index_without_a_page_for_this_torch(mmcv_wheel, python, index, tmp_path):
    page = f'{index.url}/cpu-torch990/simple/onedl-mmcv/index.html'
    with pytest.raises(mmcv_wheel.NoWheelError, match=f'{page} has no wheel of {MMCV}'):
        mmcv_wheel.download_wheel(python, MMCV, page, tmp_path)
    assert any('cpu-torch990' in path for path in index.requests)


def test_unreachable_index(mmcv_wheel, python, page, index, tmp_path):
    index.shutdown()
    index.server_close()
    with pytest.raises(mmcv_wheel.NoWheelError) as caught:
        mmcv_wheel.download_wheel(python, MMCV, page, tmp_path)
    assert str(caught.value) == f'{page} cannot be reached (connection error)'


@pytest.mark.parametrize(
    ('stalled', 'seconds', 'message'),
    [
        ('index.html', {'SILENCE_SECONDS': 2}, 'cannot be reached'),
        ('index.html', {'ASK_SECONDS': 2}, 'took more than 2 seconds'),
        ('.whl', {'SILENCE_SECONDS': 2}, 'cannot be downloaded'),
        ('.whl', {'DOWNLOAD_SECONDS': 3}, 'took more than 3 seconds'),
    ],
)
def test_server_that_stops_sending(
    mmcv_wheel, python, page, index, add_wheel, tmp_path, monkeypatch, stalled, seconds, message
):
    add_wheel()
    index.stalled = stalled
    (name, value), *_ = seconds.items()
    monkeypatch.setattr(mmcv_wheel, 'SILENCE_SECONDS', 100)
    monkeypatch.setattr(mmcv_wheel, name, value)
    with pytest.raises(mmcv_wheel.NoWheelError, match=message):
        mmcv_wheel.download_wheel(python, MMCV, page, tmp_path)


def test_truncated_wheel(mmcv_wheel, python, page, add_wheel, tmp_path):
    wheel = add_wheel()
    wheel.write_bytes(wheel.read_bytes()[:-200])
    with pytest.raises(mmcv_wheel.NoWheelError, match=f'{page} cannot be downloaded'):
        mmcv_wheel.download_wheel(python, MMCV, page, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('wheel', 'device', 'message'),
    [
        ({'operators': 'from mmcv import _ext', '_ext': 'not a library'}, 'cpu', 'ImportError: .*_ext'),
        (
            {'operators': OPERATORS.replace('[:2]', '[:1]')},
            'cpu',
            r'its nms keeps the boxes \[1\]',
        ),
        ({}, 'cuda', 'it has no CUDA operators'),
    ],
)
def test_wheel_that_does_not_work_is_not_left_installed(
    mmcv_wheel, python, add_wheel, wheel, device, message
):
    path = add_wheel(**wheel)
    with pytest.raises(
        mmcv_wheel.NoWheelError, match=f'{path.name} of the index does not work: {message}'
    ):
        mmcv_wheel.install_checked(python, path, device)
    assert subprocess.run([python, '-I', '-c', 'import mmcv'], capture_output=True).returncode == 1


@pytest.fixture
def build_folder(tmp_path, monkeypatch):
    """Where setup_env.py caches the wheels of this environment."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    return tmp_path / 'cache' / 'mmcednet' / 'wheels' / f'torch{TORCH}-{PYTHON}-cpu'


@pytest.mark.slow
def test_prebuilt_wheel_is_installed_and_cached(
    setup_env, python, index, add_wheel, build_folder, capfd
):
    wheel = add_wheel()
    setup_env.install_mmcv(python, MMCV)
    assert 'installed a prebuilt wheel, its operators work' in capfd.readouterr().out
    assert [path.name for path in build_folder.iterdir()] == [wheel.name]
    subprocess.run([python, '-I', '-c', 'import mmcv.ops'], check=True)
    index.requests.clear()
    setup_env.install_mmcv(python, MMCV)
    assert f'using the cached wheel of {MMCV}: {build_folder / wheel.name}' in capfd.readouterr().out
    assert index.requests == []


@pytest.mark.slow
def test_mmcv_is_compiled_if_the_prebuilt_wheel_does_not_work(
    setup_env, python, index, add_wheel, build_folder, tmp_path, monkeypatch, capfd
):
    add_wheel(operators='from mmcv import _ext', _ext='not a library')
    source = tmp_path / 'source' / 'onedl_mmcv-2.3.6'
    (source / 'mmcv').mkdir(parents=True)
    (source / 'mmcv' / '__init__.py').touch()
    (source / 'mmcv' / '_ext.c').write_text(
        '#include <Python.h>\n'
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_ext", 0, -1, 0};\n'
        'PyMODINIT_FUNC PyInit__ext(void) {return PyModule_Create(&module);}\n'
    )
    (source / 'setup.py').write_text(
        'from setuptools import Extension, setup\n'
        "setup(name='onedl-mmcv', version='2.3.6', packages=['mmcv'],\n"
        "      ext_modules=[Extension('mmcv._ext', ['mmcv/_ext.c'])])\n"
    )
    with tarfile.open(source.parent / f'{source.name}.tar.gz', 'w:gz') as file:
        file.add(source, source.name)
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(source.parent))
    setup_env.install_mmcv(python, MMCV)
    log = capfd.readouterr().out
    assert 'of the index does not work: ImportError' in log
    assert log.index('does not work') < log.index(f'compiling {MMCV} (CPU only)')
    subprocess.run([python, '-I', '-c', 'import mmcv._ext'], check=True)
    (cached,) = build_folder.glob('*.whl')
    assert any(name.startswith('mmcv/_ext.') for name in zipfile.ZipFile(cached).namelist())
