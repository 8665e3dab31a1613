"""Configs of short trainings on the generated shapes, for the tests of several processes."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMON = """
train_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False,
    dataset=dict(data_root={data!r}, indices={images}))
val_dataloader = val_evaluator = val_cfg = test_dataloader = test_evaluator = test_cfg = None
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs={epochs})
param_scheduler = []
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(_delete_=True, type='CheckpointHook', interval=1, max_keep_ckpts=-1))
"""
# AdamW would divide each gradient by its size, and enlarge the rounding errors of small ones
SGD = "optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr={lr}, momentum=0.9))\n"


def write_config(
    path: Path, base: str, data: Path, *, images: int, epochs: int = 1, lr: float = 1e-3, more: str = ''
) -> Path:
    """Write a config that trains a nano model on ``images`` images without augmentation or schedule."""
    name = str(ROOT / 'configs' / base / 'cednet_nano_shapes.py')
    text = f'_base_ = {name!r}\n' + COMMON.format(data=str(data), images=images, epochs=epochs)
    path.write_text(text + SGD.format(lr=lr) + more)
    return path


def write_interruption(kind: str, **settings: object) -> str:
    """Lines of a config that add a hook of interruptions.py."""
    return (
        f"custom_imports = dict(imports=['mmcednet', 'interruptions'])\n"
        f'custom_hooks = [{dict(type=kind, **settings)!r}]\n'
    )


def list_options(base: str) -> list[str]:
    """Options that switch the random flip of a nano config off; a config cannot, within a list."""
    step = 1 if base == 'imagenet' else 2
    return ['--cfg-options', f'train_dataloader.dataset.pipeline.{step}.prob=0.0']
