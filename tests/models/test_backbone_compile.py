"""``torch.compile`` and ``torch.export``: few graphs for all sizes, and the same results."""

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim, export

from mmswinv2 import SwinTransformerV2

from .. import reference
from .small_backbone import make

ARCH = dict(embed_dims=8, depths=(2, 2, 3, 2), num_heads=(1, 2, 4, 8))


def coco_shapes(count: int) -> list[tuple[int, int]]:
    """Shapes of MMDetection's resizing to 1333 x 800, which pads to multiples of 32, an eighth as large."""
    generator = torch.Generator().manual_seed(0)
    shapes = []
    for ratio in (torch.rand(count, generator=generator) * 1.4 + 0.6).tolist():
        scale = min(800 / min(1, ratio), 1333 / max(1, ratio))
        height, width = (-(-round(side * scale) // 32) * 4 for side in (1, ratio))
        shapes.append((height, width))
    return shapes


@pytest.fixture(autouse=True)
def forget_compiled() -> None:
    torch.compiler.reset()


def compiled(model: nn.Module) -> tuple[nn.Module, CompileCounterWithBackend]:
    """The model as ``aot_eager`` compiles it, which builds all graphs, gradients included, and no machine code."""
    counter = CompileCounterWithBackend("aot_eager")
    return torch.compile(model, backend=counter, fullgraph=True), counter


def image_of(shape: tuple[int, int]) -> Tensor:
    image = torch.randn(1, 3, *shape)
    for dimension in (2, 3):
        torch._dynamo.mark_dynamic(image, dimension)
    return image


@pytest.mark.parametrize("window", [pytest.param(4, marks=pytest.mark.full), 16])
@torch.no_grad()
def test_fifty_shapes_need_two_graphs_in_evaluation(window: int) -> None:
    """Maps above and below the window, squares, and sides that no window divides."""
    model = reference.randomize_(SwinTransformerV2(ARCH, window_size=window)).eval()
    fast, counter = compiled(model)
    for shape in [*coco_shapes(50), (128, 128), (75, 66)]:
        image = image_of(shape)
        for one, other in zip(fast(image), model(image), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert counter.frame_count <= 2  # after a square image, torch learns that sides may differ


@pytest.mark.full
@pytest.mark.parametrize("with_cp", [False, [1, 2, 0, 1]])
def test_a_training_needs_no_more(with_cp: bool | list[int]) -> None:
    """Gradients are those of the model as it is, with blocks recomputed or not."""
    model = reference.randomize_(SwinTransformerV2(ARCH, window_size=4, drop_path_rate=0.0, with_cp=with_cp)).train()
    fast, counter = compiled(model)
    for shape in coco_shapes(4):
        image, gradients = image_of(shape), []
        for either in (fast, model):
            model.zero_grad()
            sum(level.square().mean() for level in either(image)).backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, atol=2e-4 * other.abs().max().item(), rtol=1e-3)
    assert counter.frame_count <= 2


@pytest.mark.full
@pytest.mark.parametrize("with_cp", [False, True])
def test_dropped_paths_and_attention_weights_compile(with_cp: bool) -> None:
    """Without a break, for several images, and something is dropped."""
    model = reference.randomize_(
        SwinTransformerV2(ARCH, window_size=4, drop_path_rate=0.5, attn_drop_rate=0.2, drop_rate=0.1, with_cp=with_cp)
    )
    fast, _ = compiled(model.train())
    image = torch.randn(3, 3, 75, 66)
    one, other = fast(image), fast(image)
    sum(level.sum() for level in one).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert not torch.equal(one[-1], other[-1])


@pytest.mark.parametrize("training", [pytest.param(False, marks=pytest.mark.full), True])
def test_blocks_compile_one_by_one(training: bool) -> None:
    """What some do to compile large models sooner: blocks get their grid, whole or in part, as an argument."""
    model = reference.randomize_(SwinTransformerV2(ARCH, window_size=4, drop_path_rate=0.0)).train(training)
    image = torch.randn(1, 3, 75, 66)
    with torch.set_grad_enabled(training):
        expected = model(image)
        for stage in model.layers:
            for block in stage.blocks:
                block.compile(backend="aot_eager")
        for one, other in zip(model(image), expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.full
@pytest.mark.parametrize("training", [False, True])
def test_machine_code_computes_the_same_at_all_sizes(training: bool) -> None:
    """With torch's own backend, whose choices depend on sizes: at most three graphs for fifty shapes."""
    arch = dict(embed_dims=8, depths=(2, 2), num_heads=(1, 2))
    model = make(arch=arch, out_indices=(0, 1), drop_path_rate=0.0).train(training)
    counter = CompileCounterWithBackend("inductor")
    fast = torch.compile(model, backend=counter, fullgraph=True)
    for shape in coco_shapes(50):
        image = image_of(shape)
        with torch.set_grad_enabled(training):
            outputs = fast(image)
            for one, other in zip(outputs, model(image), strict=True):
                torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
            if training:
                sum(level.square().mean() for level in outputs).backward()
    assert counter.frame_count <= 3


@pytest.mark.full
@pytest.mark.parametrize("strict", [False, True])
@torch.no_grad()
def test_an_exported_backbone_takes_any_size(strict: bool) -> None:
    """Its graph knows torch's operations alone, and height, width and batch are free."""
    model = reference.randomize_(SwinTransformerV2(ARCH, window_size=(4, 6))).eval()
    sides = {2: Dim("height", min=33, max=4096), 3: Dim("width", min=33, max=4096)}
    program = export(model, (torch.randn(2, 3, 75, 101),), dynamic_shapes=({0: Dim("batch"), **sides},), strict=strict)
    assert not [node for node in program.graph.nodes if "mmswinv2" in str(node.target)]
    exported = program.module()
    for shape in [(1, 33, 34), (3, 128, 192), (2, 75, 66), (1, 250, 40)]:
        image = torch.randn(shape[0], 3, *shape[1:])
        for one, other in zip(exported(image), model(image), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
