"""Speed of the detectors of Table 1 on this machine, next to the paper's."""

from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmcednet.analysis.speed import compute_spread, time_in_turn

from .tables import CONFIGS, IMAGE_SIZES, load_paper_rows

TABLE = '1'
REFERENCE = 'ConvNeXt-T w/ FPN'


class SpeedRow(NamedTuple):
    """Speed of a detector."""

    method: str
    seconds: float  # median
    spread: float  # half of the range between the quartiles, as a share of the median
    ratio: float  # to the reference
    paper_ratio: float
    config: str


def measure_table(
    configs: Path,
    image_size: tuple[int, int] = IMAGE_SIZES['coco'],
    rounds: int = 5,
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
) -> list[SpeedRow]:
    """Time the networks of Table 1, from images to the outputs of the head.

    They run on the GPU if there is one, with random weights.

    Args:
        configs: Folder of the configs.
        image_size: (H, W) in px. Default: the paper's, (800, 1280).
        rounds: Timed calls per network. Default: 5.
        batch: Images. Default: 1.
        dtype: Of autocast. Default: float32, without it.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    images = torch.randn(batch, 3, *image_size, device=device)
    rows = load_paper_rows(TABLE)
    steps = {
        row['method']: partial(
            run, build(configs / CONFIGS[TABLE, row['method']]).to(device), images, dtype
        )
        for row in rows
    }
    seconds = time_in_turn(steps, rounds, device)
    reference = median(seconds[REFERENCE])
    paper_reference = next(row['fps_rtx3090'] for row in rows if row['method'] == REFERENCE)
    measured = []
    for row in rows:
        method, paper_ratio = row['method'], row['fps_rtx3090'] / paper_reference
        own = median(seconds[method])
        spread = compute_spread(seconds[method])
        measured.append(
            SpeedRow(method, own, spread, reference / own, paper_ratio, CONFIGS[TABLE, method])
        )
    return measured


def build(config: Path) -> nn.Module:
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()


@torch.no_grad()
def run(model: nn.Module, images: Tensor, dtype: torch.dtype) -> None:
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        model(images, mode='tensor')
