"""The backbone's step in the fake mode is the real one's, and that of a GPU where a plan is for one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmswinv2 import SwinTransformerV2
from mmswinv2.plan.backbone import Release, _replace_by_fakes, backbone_step
from mmswinv2.plan.live import LiveMemory
from mmswinv2.plan.precision import Precision

from ..models.small_backbone import SMALL

SIZE = 72, 100  # no multiple of the window's pixels
ON_CPU = Precision(half=False, like_gpu=False)


def meta_backbone(**settings: object) -> SwinTransformerV2:
    with torch.device("meta"):
        return SwinTransformerV2(SMALL, window_size=4, drop_path_rate=0.2, **settings)


@pytest.mark.parametrize("settings", [{}, {"with_cp": True}, {"with_cp": 1}, {"frozen_stages": 1}])
def test_a_fake_step_takes_what_the_real_one_takes(settings: dict[str, object]) -> None:
    """To the byte, but for what attention takes for itself, which a real step does not show."""
    planned = backbone_step(meta_backbone(**settings), 2, SIZE, ON_CPU)
    real = SwinTransformerV2(SMALL, window_size=4, drop_path_rate=0.2, **settings).train()
    tokens = nn.Parameter(torch.randn(2, SIZE[0] // 4, SIZE[1] // 4, SMALL["embed_dims"]))
    with LiveMemory(real, [tokens]) as memory:
        loss = Release.apply(*real.forward_stages(tokens))
        kept = memory.now
        loss.backward()
    assert planned.kept == kept
    trained = sum(p.nbytes for name, p in real.named_parameters() if p.requires_grad and "patch_embed" not in name)
    assert max(moment.gradients for moment in planned.moments) == trained
    assert memory.peak <= max(map(sum, planned.moments)) < 1.3 * memory.peak


@contextmanager
def gpu_autocast() -> Iterator[None]:
    """Autocast of a GPU, which torch refuses to enter by its own context where there is none."""
    torch.autocast_increment_nesting()  # or the first context within would drop the casts
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.float16)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()


def test_mixed_precision_is_that_of_a_gpu() -> None:
    """A plan runs on a CPU, whose autocast leaves norms in half precision. torch can fake a GPU, but forwards alone."""
    planned = backbone_step(meta_backbone(), 2, SIZE, Precision(half=True))
    backbone = meta_backbone().train()
    with FakeTensorMode(), torch.device("cuda"):
        _replace_by_fakes(backbone)
        tokens = nn.Parameter(torch.empty(2, SIZE[0] // 4, SIZE[1] // 4, SMALL["embed_dims"]))
        with LiveMemory(backbone, [tokens]) as memory, gpu_autocast():
            loss = Release.apply(*backbone.forward_stages(tokens))
            kept = memory.now
    assert loss.device.type == "cuda"
    assert planned.kept == kept


def test_attention_on_a_gpu_takes_more_for_itself() -> None:
    """Its backward pass holds 2^25 logits at a time there; one window of 16 x 16 tokens has 2^16 a head."""
    with torch.device("meta"):
        backbones = [SwinTransformerV2(SMALL, window_size=16, with_cp=True) for _ in range(2)]
    cpu, gpu = (
        max(map(sum, backbone_step(backbone, 8, (256, 256), Precision(False, like_gpu)).moments))
        for backbone, like_gpu in zip(backbones, (False, True), strict=True)
    )
    assert gpu > 1.5 * cpu
