"""The type in which torch computes in mixed precision."""

import torch

LOW_PRECISION = (torch.bfloat16, torch.float16)


def get_autocast_dtype(device_type: str) -> torch.dtype | None:
    """The type in which a kind of device computes in mixed precision; None without it."""
    if hasattr(torch, 'get_autocast_dtype'):
        return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else None
    if device_type == 'cpu':  # torch < 2.4
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
    return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
