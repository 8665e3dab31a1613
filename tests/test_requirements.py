"""Missing, outdated and conflicting toolboxes are reported in one sentence."""

import subprocess
import sys

import pytest

from mmcednet import requirements


@pytest.fixture
def installed(monkeypatch):
    """Fake versions of installed distributions."""
    versions = {}

    def version(name):
        if name not in versions:
            raise requirements.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(requirements.metadata, 'version', version)
    return versions


@pytest.mark.parametrize(
    'found',
    [
        {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmdet': '3.3.0', 'mmsegmentation': '1.2.2'},
        {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmdetection': '3.5.1'},
        {'mmengine': '0.10.0rc1', 'mmpretrain': '1.2.0'},
        {'mmengine': '1.0'},
    ],
)
def test_supported_versions(installed, found):
    installed.update(found)
    requirements.check_requirements()


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        ({'mmengine': '0.9.1'}, r'mmengine>=0\.10, but mmengine 0\.9\.1 is installed; install one set'),
        ({'mmcv': '1.7.2'}, r'mmcv>=2\.1, but mmcv 1\.7\.2'),
        ({'onedl-mmdetection': '3.2.0'}, r'mmdet>=3\.3, but onedl-mmdetection 3\.2\.0'),
        ({'mmcv': '2.1.0', 'onedl-mmcv': '2.3.6'}, 'mmcv and onedl-mmcv are both installed'),
    ],
)
def test_unsupported_versions(installed, found, message):
    installed.update(found)
    with pytest.raises(ImportError, match=message):
        requirements.check_requirements()


@pytest.mark.slow
def test_import_without_mmengine():
    code = (
        'import importlib.util as u; find = u.find_spec;'
        "u.find_spec = lambda name, *a: None if name == 'mmengine' else find(name, *a);"
        'import mmcednet'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: mmcednet requires mmengine')
    assert 'pip install "mmcednet[onedl]"' in last


@pytest.mark.slow
def test_import_is_light():
    code = (
        'import mmcednet, sys; print([m for m in sys.modules if m in ("mmdet", "mmseg", "mmpretrain")])'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '[]'
