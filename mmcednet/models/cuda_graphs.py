"""CUDA graphs: the kernels of a function are recorded once for each size of its inputs, and replayed.

One image keeps a GPU busy for less time than Python needs to launch the kernels one by one.
"""

import contextlib
import copy
import functools
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

LIMIT = 8  # sizes of inputs
SEEN_LIMIT = 1000  # sizes that came once
WARM_UP = 1  # calls before the last one and the recording; they choose algorithms and compile kernels

Replay = Callable[..., Any]


class CUDAGraphs:
    """A function that is replayed as a CUDA graph, without gradients.

    It is recorded when a size comes for the second time, as recording takes longer than a call. With
    gradients it is called as it is; so it is from then on when its kernels could not be recorded,
    because it waits for the GPU, say, or there is no memory, of which a warning is logged.

    Args:
        function: Takes and returns tensors, or lists, tuples and dicts of them. What it does must
            depend on their sizes and types only, and its weights must stay where they are.
        limit: Number of sizes of inputs of which a graph is kept; the one not used for the longest time
            is dropped first. The graphs share the memory of their intermediate results. Default: 8.
        record: As :func:`record_graph`, the default.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        limit: int = LIMIT,
        record: Callable[[Callable[..., Any], tuple], Replay] | None = None,
    ) -> None:
        self.function = function
        self.limit = limit
        self.record = record or record_graph
        self.graphs: OrderedDict[Any, Replay] = OrderedDict()
        self.seen: OrderedDict[Any, None] = OrderedDict()  # sizes that came once
        self.can_record = True

    def __call__(self, *args: Any) -> Any:
        if torch.is_grad_enabled() or not self.can_record:
            return self.function(*args)
        leaves, structure = tree_flatten(args)
        if not all(isinstance(leaf, Tensor) for leaf in leaves):
            return self.function(*args)
        # a graph's tensors of inference mode cannot be written to outside of it
        mode = torch.is_inference_mode_enabled()
        key = str(structure), mode, *((leaf.shape, leaf.dtype, leaf.device) for leaf in leaves)
        if key in self.graphs:
            self.graphs.move_to_end(key)
        elif key not in self.seen:
            self.seen[key] = None
            if len(self.seen) > SEEN_LIMIT:
                self.seen.popitem(last=False)
            return self.function(*args)
        else:
            del self.seen[key]
            self.drop_to(self.limit - 1)
            try:
                self.graphs[key] = self.record(self.function, args)
            except RuntimeError as error:
                self.can_record = False
                self.drop_to(0)
                get_pool.cache_clear()  # the recording may have left it unusable
                reason = str(error).partition('\n')[0]
                print_log(
                    f'No CUDA graph, which would be faster, as it could not be recorded: {reason}',
                    'current',
                    logging.WARNING,
                )
                return self.function(*args)
        return self.graphs[key](*args)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'CUDAGraphs':
        """A copy without the graphs, which are of the weights of the copied function."""
        return CUDAGraphs(copy.deepcopy(self.function, memo), self.limit, self.record)

    def drop_to(self, number: int) -> None:
        """Keep at most ``number`` graphs."""
        while len(self.graphs) > number:
            key = next(iter(self.graphs))
            device = key[-1][-1]
            if device.type == 'cuda':
                torch.cuda.synchronize(device)  # the graph may be running
            del self.graphs[key]


def record_graph(function: Callable[..., Any], args: tuple) -> Replay:
    """Record the kernels of a call.

    Args:
        function: As for :class:`CUDAGraphs`.
        args: Its arguments, with tensors on one GPU.

    Returns:
        The function for arguments of the same sizes. Its results are copies, which the next call does
        not change.

    Raises:
        RuntimeError: The kernels cannot be recorded.
    """
    leaves, structure = tree_flatten(args)
    inputs = [leaf.clone() for leaf in leaves]
    own_args = tree_unflatten(inputs, structure)
    graph, outs = capture(lambda: function(*own_args), inputs[0].device)

    def replay(*new_args: Any) -> Any:
        for own, new in zip(inputs, tree_flatten(new_args)[0]):
            own.copy_(new)
        graph.replay()
        return tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, outs)

    return replay


def capture(call: Callable[[], Any], device: torch.device) -> tuple[torch.cuda.CUDAGraph, Any]:
    """Record the kernels of a call; return the graph and the call's results, which a replay overwrites.

    Args:
        call: Inference, or a forward and a backward pass that removes earlier gradients.
        device: A GPU.

    Raises:
        RuntimeError: The kernels cannot be recorded.
    """
    stream, current = get_stream(device), torch.cuda.current_stream(device)
    # torch leaves the stream of a graph only if its recording succeeds
    with torch.cuda.device(device), torch.cuda.stream(current):
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                call()
            with forbid_waiting():
                call()
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()  # weights converted by an autocast around this are not kept
        # thread_local: the data loader's thread may allocate memory meanwhile
        with torch.cuda.graph(graph, get_pool(), stream, capture_error_mode='thread_local'):
            outs = call()
        torch.clear_autocast_cache()
    return graph, outs


@contextlib.contextmanager
def forbid_waiting() -> Iterator[None]:
    """Let calls that wait for the GPU fail: in a recording, they would harm all that follow."""
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


@functools.cache
def get_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which a GPU's graphs are recorded; torch's own is of the first GPU that records."""
    return torch.cuda.Stream(device)


@functools.cache
def get_pool() -> Any:
    """The memory of all graphs, of which one runs at a time."""
    return torch.cuda.graph_pool_handle()
