"""Log-spaced continuous position bias: its values, its transfer between windows and its cache."""

import copy
import itertools
import math
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import pytest
import torch
from torch import Tensor

from mmswinv2.layers import BiasVersions, LogCPB, cell_bias, log_coordinates

from .. import reference


@pytest.fixture
def cpb() -> LogCPB:
    return reference.randomize_(LogCPB(num_heads=3))


def window_tensor(h: int, w: int) -> Tensor:
    return torch.tensor([h, w])


def test_coordinates_are_the_formula_at_known_offsets() -> None:
    """By hand: sign(x) log2(|x| + 1) / 3 of x = 8 offset / (window - 1); the end is log2(9) / 3 and not 1."""
    offsets = torch.tensor([[7, 0], [-7, 15], [14, -15], [1, 5]])
    actual = log_coordinates(offsets, window_tensor(8, 16))
    end = math.log2(9) / 3
    expected = [
        [end, 0.0],
        [-end, end],
        [math.log2(17) / 3, -end],
        [math.log2(1 + 8 / 7) / 3, math.log2(1 + 8 / 3) / 3],
    ]
    assert end == pytest.approx(1.0566, abs=1e-4)
    torch.testing.assert_close(actual, torch.tensor(expected), atol=1e-6, rtol=0)


def test_a_pretrained_window_of_one_is_finite(cpb: LogCPB) -> None:
    """The unit would be 0: the one offset of a window of 1 must not become 0 / 0."""
    assert torch.equal(log_coordinates(torch.zeros(1, 2), window_tensor(1, 1)), torch.zeros(1, 2))
    for window in ((1, 1), (3, 2)):
        assert cpb(window, window_tensor(1, 1)).isfinite().all()


@pytest.mark.parametrize("window", [(8, 8), (16, 16), (4, 7), (1, 5), (1, 1)])
@pytest.mark.parametrize("pretrained", [(8, 8), (12, 6), (1, 1)])
def test_bias_is_the_official_table_looked_up(
    cpb: LogCPB, window: tuple[int, int], pretrained: tuple[int, int]
) -> None:
    """In float64, with the official release's table and relative_position_index, and by the formula pair by pair."""
    bias = cpb.bias(window, window_tensor(*pretrained))
    state = {name: tensor.double() for name, tensor in cpb.state_dict().items()}
    expected = reference.position_bias(state, window, pretrained)
    torch.testing.assert_close(bias.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(bias, cpb.bias_plain(window, window_tensor(*pretrained)), atol=1e-5, rtol=0)
    assert bias.min() > 0 and bias.max() < 16


def test_plain_bias_has_the_same_gradients(cpb: LogCPB) -> None:
    """The table shares one evaluation among all pairs of equal offset: its gradient must sum over them."""
    weights = torch.randn(3, 20, 20)
    gradients = []
    for function in (cpb.bias, cpb.bias_plain):
        loss = (function((4, 5), window_tensor(8, 8)) * weights).sum()
        gradients.append(torch.autograd.grad(loss, list(cpb.parameters())))
    for fused, plain in zip(*gradients, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("window", [(12, 12), (16, 16), (24, 24), (5, 20)])
def test_equal_offsets_have_equal_bias_in_every_window(cpb: LogCPB, window: tuple[int, int]) -> None:
    """Log-CPB transfer: given one pretrained window, a bias depends on the offset alone."""

    def bias_at(window: tuple[int, int], dy: int, dx: int) -> Tensor:
        """Bias (heads,) between the first token that has a partner at this offset, and the partner."""
        pairs = cpb.bias(window, window_tensor(8, 8)).reshape(3, *window, *window)
        y, x = max(dy, 0), max(dx, 0)
        return pairs[:, y, x, y - dy, x - dx]

    for dy, dx in itertools.product(range(-4, 5), range(-7, 8)):
        torch.testing.assert_close(bias_at(window, dy, dx), bias_at((8, 8), dy, dx), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", [(8, 6), (4, 6), (8, 1), (3, 2), (1, 1)])
def test_cell_bias_is_the_bias_of_a_window_of_that_size(cpb: LogCPB, cell: tuple[int, int]) -> None:
    pretrained = window_tensor(8, 8)
    cut = cell_bias(cpb.bias((8, 6), pretrained), (8, 6), cell)
    torch.testing.assert_close(cut, cpb.bias(cell, pretrained), atol=1e-5, rtol=0)


# The cache

VERSIONS: WeakKeyDictionary[LogCPB, BiasVersions] = WeakKeyDictionary()


def look(cpb: LogCPB, window: tuple[int, int], pretrained: Tensor) -> Tensor:
    """The bias as a model of one block asks for it in a forward pass."""
    versions = VERSIONS.setdefault(cpb, BiasVersions())
    return cpb(window, pretrained, versions.version([cpb], pretrained))


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one entry at every evaluation of a meta network."""
    calls: list[None] = []
    evaluate = LogCPB.evaluate

    def counted(self: LogCPB, coordinates: Tensor) -> Tensor:
        calls.append(None)
        return evaluate(self, coordinates)

    monkeypatch.setattr(LogCPB, "evaluate", counted)
    return calls


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_cached_bias_is_used_while_nothing_changes(cpb: LogCPB, evaluations: list, mode: Callable) -> None:
    with mode():
        first = look(cpb, (4, 4), window_tensor(8, 8))
        second = look(cpb, (4, 4), window_tensor(8, 8))
    assert len(evaluations) == 1
    assert torch.equal(first, second)
    torch.testing.assert_close(first, cpb.bias((4, 4), window_tensor(8, 8)), atol=0, rtol=0)


def test_nothing_is_cached_while_gradients_are_on(cpb: LogCPB, evaluations: list) -> None:
    """A graph can be walked once; a bias kept from an earlier step would fail or belong to old weights."""
    for _ in range(2):
        look(cpb, (4, 4), window_tensor(8, 8)).sum().backward()
    assert len(evaluations) == 2
    with torch.no_grad():
        look(cpb, (4, 4), window_tensor(8, 8))
    assert len(evaluations) == 3


def test_training_frees_what_inference_has_cached(cpb: LogCPB) -> None:
    """The biases of a large model come to gigabytes, which a validation epoch may not leave behind."""
    with torch.no_grad():
        cached = weakref.ref(look(cpb, (4, 4), window_tensor(8, 8)))
    assert cached() is not None
    look(cpb, (4, 4), window_tensor(8, 8))
    assert cached() is None


def step_of_the_optimizer(cpb: LogCPB) -> None:
    """With gradients from elsewhere, so that no forward pass clears the cache."""
    for parameter in cpb.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(cpb.parameters(), lr=0.1).step()


def write_through_data(cpb: LogCPB) -> None:
    """EMA hooks and mean teachers do this; it leaves the tensors' version counters as they were."""
    for parameter in cpb.parameters():
        parameter.data.mul_(0.5)


def swap_data(cpb: LogCPB) -> None:
    for parameter in cpb.parameters():
        parameter.data = parameter.data * 0.5


def load_weights(cpb: LogCPB) -> None:
    cpb.load_state_dict(reference.randomize_(LogCPB(num_heads=3)).state_dict())


def assign_weights(cpb: LogCPB) -> None:
    cpb.load_state_dict(reference.randomize_(LogCPB(num_heads=3)).state_dict(), assign=True)


@pytest.mark.parametrize(
    "change",
    [
        step_of_the_optimizer,
        write_through_data,
        swap_data,
        load_weights,
        assign_weights,
        LogCPB.bfloat16,
        LogCPB.half,
    ],
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_no_stale_bias_after_a_change_of_weights(cpb: LogCPB, change: Callable, mode: Callable) -> None:
    pretrained = window_tensor(8, 8)
    with mode():
        stale = look(cpb, (4, 4), pretrained)
    change(cpb)
    with mode():
        actual = look(cpb, (4, 4), pretrained)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, cpb.bias((4, 4), pretrained))
    assert not torch.equal(actual, stale)


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight"])
@torch.no_grad()
def test_no_stale_bias_after_a_change_of_one_tensor(cpb: LogCPB, name: str) -> None:
    stale = look(cpb, (4, 4), window_tensor(8, 8))
    cpb.get_parameter(name).data[-1].add_(1.0)
    actual = look(cpb, (4, 4), window_tensor(8, 8))
    assert torch.equal(actual, cpb.bias((4, 4), window_tensor(8, 8)))
    assert not torch.equal(actual, stale)


@torch.no_grad()
def test_no_stale_bias_after_a_change_of_windows(cpb: LogCPB) -> None:
    """The buffer is written in place by ``load_state_dict``; the map's size decides the window."""
    pretrained = window_tensor(8, 8)
    before = look(cpb, (4, 4), pretrained)
    pretrained.copy_(window_tensor(12, 8))
    after = look(cpb, (4, 4), pretrained)
    assert not torch.equal(after, before)
    assert torch.equal(after, cpb.bias((4, 4), pretrained))
    for window in ((4, 3), (3, 4), (4, 4)):
        assert torch.equal(look(cpb, window, pretrained), cpb.bias(window, pretrained))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_copy_after_inference_trains_on_its_own(cpb: LogCPB, mode: Callable) -> None:
    """EMA and DDP copy models that have run; the copy may share neither cache nor weights with the first."""
    with mode():
        before = look(cpb, (4, 4), window_tensor(8, 8))
    twin = copy.deepcopy(cpb)
    step_of_the_optimizer(twin)
    with mode():
        assert torch.equal(look(cpb, (4, 4), window_tensor(8, 8)), before)
        assert not torch.equal(look(twin, (4, 4), window_tensor(8, 8)), before)


def test_threads_that_share_a_network_get_their_own_bias(cpb: LogCPB) -> None:
    """Windows of equal area, so that a bias taken from another thread would go unnoticed; one thread trains."""
    windows = [(8, 2), (2, 8), (4, 4)]
    pretrained = window_tensor(8, 8)
    with torch.no_grad():
        expected = [cpb.bias(window, pretrained) for window in windows]
    wrong: list[int] = []

    def infer(first: int) -> None:
        with torch.no_grad():
            for step in range(first, first + 600):
                index = step % len(windows)
                if not torch.equal(look(cpb, windows[index], pretrained), expected[index]):
                    wrong.append(step)

    def train() -> None:
        for _ in range(200):
            if not torch.equal(look(cpb, windows[0], pretrained), expected[0]):
                wrong.append(-1)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            tasks = [*(pool.submit(infer, first) for first in range(3)), pool.submit(train)]
            for task in tasks:
                task.result()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
