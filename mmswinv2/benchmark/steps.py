"""The step that is timed, the same for every contender."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import EnvironmentProblem
from .cases import Case
from .contenders import build


class Step(NamedTuple):
    """What a contender does in its turn.

    Attributes:
        run: Does one step.
        model: What has the parameters.
        backbone: The backbone in it, compiled where that was asked for.
        images: What the backbone takes, (B, 3, H, W).
    """

    run: Callable[[], object]
    model: nn.Module
    backbone: Callable[[Tensor], Any]
    images: Tensor


def make_step(contender: str, case: Case, compiled: bool) -> Step:
    """Builds a contender and its step.

    Raises:
        EnvironmentProblem: Its package is not installed, or cannot hold this size.
    """
    backbone = build(contender, case).to(case.device)
    backbone.train(case.trains)  # not in the line above: MMPretrain's returns nothing
    if case.whole_model:
        from .whole_models import make_whole_step  # MMDetection and MMSegmentation, which the backbone does without

        return make_whole_step(case, backbone, compiled)
    run = torch.compile(backbone) if compiled else backbone
    images = seeded_images(case)
    step = _training_step(run, backbone, images, case) if case.trains else _inference_step(run, images, case)
    return Step(step, backbone, run, images)


def seeded_images(case: Case) -> Tensor:
    """Returns normalised noise (B, 3, H, W), the same for all contenders."""
    generator = torch.Generator().manual_seed(case.seed)
    return torch.randn(case.batch, 3, *case.size, generator=generator).to(case.device)


def autocast(case: Case) -> torch.autocast:
    """Returns the context in which a forward pass runs; in float32 it does nothing."""
    return torch.autocast(case.device, getattr(torch, case.dtype), enabled=case.dtype != "float32")


def _inference_step(run: Callable, images: Tensor, case: Case) -> Callable[[], object]:
    def step() -> None:
        with torch.no_grad(), autocast(case):
            run(images)

    return step


def _training_step(run: Callable, model: nn.Module, images: Tensor, case: Case) -> Callable[[], object]:
    weights: list[Tensor] = []

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with autocast(case):
            levels = run(images)
        if not weights:  # the gradients of the levels, noise that stays
            generator = torch.Generator().manual_seed(case.seed)
            weights.extend(torch.randn(level.shape, generator=generator).to(level.device) for level in levels)
        torch.stack([(level * weight).sum() for level, weight in zip(levels, weights, strict=True)]).sum().backward()

    return step


def check_gradients(step: Step) -> None:
    """Raises :class:`EnvironmentProblem` if a step left a parameter without a gradient: it did less than the others."""
    without = [name for name, parameter in step.model.named_parameters() if parameter.grad is None]
    if without:
        raise EnvironmentProblem(f"{len(without)} parameters got no gradient, the first is {without[0]}")


def levels_of(step: Step, case: Case) -> list[Tensor]:
    """Returns the four levels that the contender gives, in float32 on the CPU."""
    # With gradients where the step has them: a compiled backbone would be compiled anew without.
    with torch.set_grad_enabled(case.trains), autocast(case):
        levels = step.backbone(step.images)
    return [level.detach().float().cpu() for level in levels]
