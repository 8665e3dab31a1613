"""A small segmenter that several tests build and run."""

from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmcednet.launch.device import adapt_to_device


def load_small(root: Path, data: Path, **changes: object) -> Config:
    """configs/upernet/cednet_t.py with fewer channels and windows of 64x64."""
    cfg = Config.fromfile(root / 'configs' / 'upernet' / 'cednet_t.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(data)
    arch = dict(_delete_=True, channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), num_stages=3)
    cfg.merge_from_dict(
        {
            'model.backbone.arch': arch,
            'model.decode_head.in_channels': [4, 6, 8, 10],
            'model.decode_head.channels': 8,
            'model.auxiliary_head.in_channels': 6,
            'model.auxiliary_head.channels': 8,
            'model.data_preprocessor.size': (64, 64),
            'model.test_cfg.crop_size': (64, 64),
            'model.test_cfg.stride': (42, 42),
            'train_dataloader.dataset.pipeline.2.scale': (256, 64),
            'train_dataloader.dataset.pipeline.3.crop_size': (64, 64),
            'val_dataloader.dataset.pipeline.1.scale': (256, 64),
            'test_dataloader.dataset.pipeline.1.scale': (256, 64),
            'test_pipeline.1.scale': (256, 64),
            **changes,
        }
    )
    return cfg


def build_runner(cfg: Config, work_dir: Path) -> Runner:
    cfg.update(work_dir=str(work_dir), launcher='none', log_level='WARNING')
    adapt_to_device(cfg)
    return Runner.from_cfg(cfg)
