"""How well masked pixels of held-out images are predicted."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from ..registry import METRICS


@METRICS.register_module()
class ReconstructionError(BaseMetric):
    """Mean of the images' losses, as ``reconstruction/l1``.

    Not ``loss``: MMEngine's log shows of whatever has this in its name the mean over the last evaluations. In turn
    ``save_best='reconstruction/l1'`` needs ``rule='less'`` beside it.

    Evaluations are comparable if the masks stay the same: give the data loader an unshuffled
    :class:`ResumableSampler` with a ``seed``, from which they are drawn.

    Args:
        options: MMEngine's, such as ``prefix``.
    """

    default_prefix = "reconstruction"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes predictions of :class:`SimMIM`."""
        self.results.extend(sample["loss"] for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """The mean."""
        return {"l1": sum(results) / len(results)}
