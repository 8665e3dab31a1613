"""Metrics in the logs of mmdet, mmseg and mmpretrain."""


def to_percent(key: str, value: float) -> float:
    """Convert a logged metric to percent: COCO's are logged from 0 to 1, others from 0 to 100."""
    return 100 * value if key.startswith('coco/') else value
