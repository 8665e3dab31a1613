"""Matching of predictions and objects in mixed precision."""

from typing import Any

import torch
from mmdet.models.task_modules.assigners import AssignResult, HungarianAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor


@TASK_UTILS.register_module()
class Float32HungarianAssigner(HungarianAssigner):
    """HungarianAssigner that computes the costs in float32, also under autocast.

    Mask2Former sums the cost of a mask over 12,544 points. In float16 the sum overflows from a mean
    cost of 5.2 on, and the training ends. Its argument, ``match_costs``, is that of mmdet's.
    """

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        img_meta: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Match predictions and objects at the lowest cost.

        Args:
            pred_instances: Scores (Q, classes) and, where the costs need them, masks (Q, points) or
                boxes (Q, 4).
            gt_instances: Labels (G,), and masks (G, points) or boxes (G, 4).
            img_meta: Of the image; default: None.
            kwargs: Further arguments of the costs.

        Returns:
            The index of each prediction's object, from 1 on; 0 for none.
        """
        predictions, objects = convert_to_float32(pred_instances), convert_to_float32(gt_instances)
        with torch.autocast(gt_instances.labels.device.type, enabled=False):
            return super().assign(predictions, objects, img_meta, **kwargs)


def convert_to_float32(instances: InstanceData) -> InstanceData:
    """Copy instances, floating-point tensors in float32."""
    converted = {
        key: value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
        for key, value in instances.items()
    }
    return InstanceData(**converted)
