"""GELU and its derivative, within Triton kernels."""

import triton
import triton.language as tl


@triton.jit
def compute_gelu(x):
    return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))


@triton.jit
def compute_gelu_and_slope(x):
    """GELU(x) and its derivative."""
    cdf = 0.5 * (1.0 + tl.erf(x * 0.7071067811865476))
    return x * cdf, cdf + x * 0.3989422804014327 * tl.exp(-0.5 * x * x)
