"""Speed and memory of functions: timed in turn, and compared with what the machine can do."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
# Rows, inner dimension and columns of the product that measures the machine
PRODUCT = (8192, 512, 2048)
COPY_BYTES = 2**28  # larger than caches
MACHINE_ROUNDS = 5
MACHINE_CALLS = 20  # in a round on a GPU, whose calls are short beside their launch


class Machine(NamedTuple):
    """What a machine can do."""

    flops: float  # FLOP/s of a large matrix product
    bandwidth: float  # bytes/s that a copy reads and writes


class Work(NamedTuple):
    """What a function does in one call."""

    flops: int  # of convolutions, linear layers and matrix products; a multiply-add is two
    traffic: int  # bytes that all operators read and write


def time_in_turn(
    steps: Mapping[str, Callable[[], Any]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Time functions in turn, A B A B ..., so that a machine that slows down slows all of them.

    Args:
        steps: Functions by name; each is called once before the measurement.
        rounds: Number of calls that are timed.
        device: Device that they run on.

    Returns:
        Seconds of each call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for index in track(range(rounds + 1), 'timing'):
        for name, step in steps.items():
            elapsed = time_once(step, device)
            if index > 0:
                seconds[name].append(elapsed)
    return seconds


def time_once(step: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call, until the device has finished."""
    synchronize(device)
    start = time.perf_counter()
    step()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def describe_gpu(device: torch.device) -> str:
    """The card, the versions, and whether float32 products are rounded to TF32."""
    matrices = 'on' if torch.backends.cuda.matmul.allow_tf32 else 'off'
    convolutions = 'on' if torch.backends.cudnn.allow_tf32 else 'off'
    return (
        f'{torch.cuda.get_device_name(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}, '
        f'cuDNN {torch.backends.cudnn.version()}; TF32: matrix products {matrices}, convolutions '
        f'{convolutions}'
    )


def compute_spread(seconds: list[float]) -> float:
    """Half of the range between the quartiles, as a share of the median; 0 for fewer than 4 values."""
    if len(seconds) < 4:
        return 0.0
    lower, median, upper = statistics.quantiles(seconds, n=4)
    return (upper - lower) / 2 / median


def measure_machine(device: torch.device, dtype: torch.dtype) -> Machine:
    """Measure the rates of a matrix product and of a copy, the best of several.

    Args:
        device: Device to measure.
        dtype: Type of the matrices.
    """
    rows, inner, columns = PRODUCT
    a = torch.randn(rows, inner, device=device, dtype=dtype)
    b = torch.randn(inner, columns, device=device, dtype=dtype)
    source = torch.zeros(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    steps = {'matrix': lambda: a @ b, 'copy': lambda: target.copy_(source)}
    calls = MACHINE_CALLS if device.type == 'cuda' else 1

    def measure(step: Callable[[], Any]) -> float:
        def repeat() -> None:
            for _ in range(calls):
                step()

        return min(time_once(repeat, device) for _ in range(MACHINE_ROUNDS)) / calls

    seconds = {name: measure(step) for name, step in steps.items()}
    return Machine(2 * rows * inner * columns / seconds['matrix'], 2 * COPY_BYTES / seconds['copy'])


class TrafficCounter(TorchDispatchMode):
    """Adds up the bytes of the inputs and outputs of all operators that read or write memory."""

    SKIPPED = (  # they only allocate
        torch.ops.aten.empty,
        torch.ops.aten.empty_like,
        torch.ops.aten.empty_strided,
        torch.ops.aten.new_empty,
        torch.ops.aten.new_empty_strided,
    )

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not func.is_view and func._overloadpacket not in self.SKIPPED:
            inputs = (args, {key: value for key, value in kwargs.items() if key != 'out'})
            tensors = [x for x in tree_flatten((inputs, out))[0] if isinstance(x, Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return out


def count_work(step: Callable[[], Any]) -> Work:
    """Count what a call does, in two calls; one that torch.compile has compiled is not seen.

    torch's counter of FLOP registers hooks for all modules, with which CEDNet computes layer by layer:
    as much, but with more traffic.
    """
    return Work(count_flops(step), count_traffic(step))


def count_flops(step: Callable[[], Any]) -> int:
    """Count the floating-point operations of a call."""
    counters = {torch.ops.aten.convolution_backward: count_conv_backward}
    with FlopCounterMode(display=False, custom_mapping=counters) as flops:
        step()
    return flops.get_total_flops()


def count_traffic(step: Callable[[], Any]) -> int:
    """Count the bytes that the operators of a call read and write."""
    with TrafficCounter() as traffic:
        step()
    return traffic.bytes


def count_conv_backward(
    grad_shape: Sequence[int],
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    *settings: Any,
    out_shape: Sequence[Any],
) -> int:
    """FLOP of a convolution's gradients; torch's own count for the weights' leaves out the groups."""
    transposed, mask = settings[4], settings[-1]
    pixels = x_shape if transposed else grad_shape
    per_gradient = 2 * math.prod(weight_shape) * pixels[0] * math.prod(pixels[2:])
    return per_gradient * sum(mask[:2])


def count_saved_bytes(forward: Callable[[], Any], parameters: Iterable[nn.Parameter]) -> int:
    """Count the bytes that the forward pass keeps for the backward pass, each storage once.

    Args:
        forward: Computes a loss.
        parameters: These do not count.
    """
    excluded = {id_of_storage(parameter) for parameter in parameters}
    kept: dict[int, Any] = {}  # the storages, so that their addresses are not used again

    def pack(x: Tensor) -> Tensor:
        if id_of_storage(x) not in excluded:
            kept[id_of_storage(x)] = x.untyped_storage()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = forward()
    del loss
    return sum(storage.nbytes() for storage in kept.values())


def id_of_storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata


def measure_peak_memory(step: Callable[[], Any], device: torch.device) -> int:
    """Peak of the memory that torch allocates on a GPU during a call, beyond what was there before it.

    Returns:
        Bytes; without the weights, with their gradients if they had none before the call.
    """
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return torch.cuda.max_memory_allocated(device) - before
