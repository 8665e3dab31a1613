"""Metrics in the logs of mmdet, mmseg and mmpretrain."""


def per_cent(key: str, value: float) -> float:
    """A metric of a log in %: COCO's go from 0 to 1 there, others from 0 to 100."""
    return 100 * value if key.startswith('coco/') else value
