"""The command line of the demo; its steps are tested in tests/demo."""

import runpy

import pytest


def test_unknown_framework_is_reported(root):
    main = runpy.run_path(str(root / 'tools' / 'demo.py'))['main']
    with pytest.raises(SystemExit, match=r"^error: framework 'yolo' is unknown; choose one of: "):
        main(['--framework', 'yolo'])
