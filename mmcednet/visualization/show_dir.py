"""Pictures of a test's detections in the folders that their images have."""

import os
from collections.abc import Sequence
from typing import Any

from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class FolderVisualizationHook(DetVisualizationHook):
    """mmdet's DetVisualizationHook, whose pictures keep the subfolders of their images.

    mmdet's hook writes images of the same name from different folders to one file.
    The arguments are the same.
    """

    test_out_dir: str | None

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[Any]
    ) -> None:
        out = self.test_out_dir
        prefix = getattr(runner.test_dataloader.dataset, 'data_prefix', {})
        for sample in outputs:
            if out is not None:
                self.test_out_dir = os.path.join(
                    out, find_subfolder(sample.img_path, prefix.get('img'))
                )
            super().after_test_iter(runner, batch_idx, data_batch, [sample])
            self.test_out_dir = out  # mmdet's has made it a path in the work dir


def find_subfolder(path: str, folder: str | None) -> str:
    """The folder of an image relative to the dataset's; empty if it is not there."""
    found = os.path.relpath(os.path.dirname(path), folder) if folder else '.'
    return '' if found == '.' or found.startswith('..') else found
