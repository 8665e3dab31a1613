"""When CUDA graphs are recorded, kept, dropped and left out; tests/gpu records real ones."""

import copy

import pytest
import torch

from mmcednet.models import cuda_graphs
from mmcednet.models.cuda_graphs import CUDAGraphs


class Recorder:
    """Records calls in place of a GPU: a graph is the function itself, and has a number."""

    def __init__(self):
        self.sizes = []
        self.replays = []

    def __call__(self, function, args):
        self.sizes.append(tuple(args[0][0].shape))

        def replay(*new_args, size=self.sizes[-1]):
            self.replays.append(size)
            return function(*new_args)

        return replay


def double(features):
    return [2 * x for x in features]


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def graphs(recorder):
    return CUDAGraphs(double, limit=2, record=recorder)


def draw(*shape, dtype=torch.float32):
    return [torch.randn(shape).to(dtype)]


@torch.no_grad()
def test_each_size_and_type_is_recorded_when_it_comes_again(graphs, recorder):
    for features in (draw(1, 2), draw(1, 3), draw(1, 2), draw(1, 2)):
        torch.testing.assert_close(graphs(features), double(features))
    assert recorder.sizes == [(1, 2)]
    assert recorder.replays == [(1, 2), (1, 2)]
    for number in (1, 2):
        graphs(draw(1, 2, dtype=torch.float64))
        graphs(tuple(draw(1, 2)))
        with torch.inference_mode():  # its tensors cannot be written to outside of it
            graphs(draw(1, 2))
        assert len(recorder.sizes) == (1 if number == 1 else 4)


@torch.no_grad()
def test_the_least_recently_used_graph_is_dropped(graphs, recorder):
    for width in (1, 2, 1, 3, 1, 2):
        for _ in range(2):
            graphs(draw(1, width))
        assert len(graphs.graphs) <= 2
    assert recorder.sizes == [(1, 1), (1, 2), (1, 3), (1, 2)]


def test_sizes_that_come_once_are_forgotten(graphs, monkeypatch):
    monkeypatch.setattr(cuda_graphs, 'SEEN_LIMIT', 3)
    with torch.no_grad():
        for width in range(1, 9):
            graphs(draw(1, width))
    assert len(graphs.seen) == 3 and not graphs.graphs


def test_a_copy_has_no_graphs(graphs):
    with torch.no_grad():
        for _ in range(2):
            graphs(draw(1, 2))
        assert graphs.graphs
        other = copy.deepcopy(graphs)
        assert not other.graphs and not other.seen


def test_no_graph_with_gradients_or_other_arguments(graphs, recorder):
    features = draw(1, 2)
    torch.testing.assert_close(graphs(features), double(features))
    with torch.no_grad():
        assert CUDAGraphs(lambda x, factor: factor * x, record=recorder)(features[0], 2).shape == (1, 2)
    assert recorder.sizes == []


@torch.no_grad()
def test_what_cannot_be_recorded_is_called(log):
    attempts = []

    def fail(function, args):
        attempts.append(args)
        if len(attempts) > 1:
            raise RuntimeError('operation not permitted when stream is capturing\nDetails')
        return function

    graphs = CUDAGraphs(double, record=fail)
    for width in (1, 1, 2, 2, 3, 3, 1, 1):
        features = draw(1, width)
        torch.testing.assert_close(graphs(features), double(features))
    assert len(attempts) == 2 and not graphs.graphs
    (record,) = log.records
    assert record.message.endswith(': operation not permitted when stream is capturing')


@torch.no_grad()
def test_errors_of_the_function_arrive(recorder):
    def refuse(x):
        raise ValueError('too small')

    graphs = CUDAGraphs(refuse, record=lambda function, args: function(*args))
    for _ in range(2):  # the second one is recorded
        with pytest.raises(ValueError, match='too small'):
            graphs(torch.ones(1))
