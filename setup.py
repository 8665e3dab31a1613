"""Package mmcednet.

The extras onedl and openmmlab are alternatives: never install both, their modules have the same names.
"""

from pathlib import Path
from runpy import run_path

from setuptools import find_packages, setup

ONEDL = [
    'torchvision',
    'onedl-mmengine>=0.10.12',
    'onedl-mmcv>=2.3.6',
    'onedl-mmdetection>=3.5.1',
    'onedl-mmsegmentation>=1.4.2',
    'onedl-mmpretrain>=1.3.6',
]
OPENMMLAB = [
    'torchvision',
    'numpy<2',
    'mmengine>=0.10',
    'mmcv>=2.1,<2.2',
    'mmdet>=3.3',
    'mmsegmentation>=1.2',
    'mmpretrain>=1.2',
    'ftfy',
    'regex',
]

WEB = ['gradio>=6']
# not torch>=2.10, which it needs: pip would replace the torch that mmcv was compiled for
ONNX = ['onnx', 'onnxscript>=0.7', 'onnxruntime']
TIMM = ['timm']  # FocalNet, teachers of distillations, networks to compare with
DOCS = ['mkdocs-material', 'mkdocstrings[python]', 'nbconvert']

ROOT = Path(__file__).parent
# Below tools/: what only a clone of the repository can run, as it needs or writes other files of it
REPOSITORY_TOOLS = [
    'setup_env.py',
    'mmcv_wheel.py',
    'gpu_check.sh',
    'gpu_evidence.sh',
    'demo.py',
    'analysis/paper_tables.py',
    'analysis/results.py',
    'analysis/frameworks.py',
    'analysis/draw_network.py',
    'analysis/paper/*',
    'analysis/framework_tests/*',
    'analysis/network_figure/*',
]

setup(
    name='mmcednet',
    version=run_path(str(ROOT / 'mmcednet' / 'version.py'))['__version__'],
    description='CEDNet, a cascade encoder-decoder backbone, for MMDetection, MMSegmentation and '
    'MMPretrain',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    # what runs before torch is imported, or without it, as the package does import it
    py_modules=['mmcednet_threads', 'mmcednet_arguments', 'mmcednet_cli'],
    entry_points={'console_scripts': ['mmcednet = mmcednet_cli:main']},
    packages=find_packages(include=['mmcednet', 'mmcednet.*']),
    package_data={
        'mmcednet': [
            '.mim/model-index.yml',
            '.mim/**/*',
            'checkpoints/weights/*',
            'models/kernels/triton/*.json',
        ]
    },
    exclude_package_data={
        'mmcednet': ['.mim/**/__pycache__/*', *(f'.mim/tools/{path}' for path in REPOSITORY_TOOLS)]
    },
    python_requires='>=3.10',
    install_requires=['torch>=2.1', 'numpy', 'safetensors'],
    extras_require={
        'onedl': ONEDL,
        'openmmlab': OPENMMLAB,
        'web': WEB,
        'onnx': ONNX,
        'timm': TIMM,
        'docs': DOCS,
    },
)
