"""How the processes of a run share a model: ``strategy=`` ``ddp``, ``zero1`` or ``fsdp2`` in a config.

``ddp``: each process has all of the model and of the optimizer's state. ``zero1``: each has all of the model and a
part of the optimizer's state, as the paper's models were trained. ``fsdp2``: each has a part of everything.
"""

from .apply import STRATEGIES, apply_strategy, check_strategy
from .runner import PartedOptimizerRunner, ShardedRunner

__all__ = ["STRATEGIES", "PartedOptimizerRunner", "ShardedRunner", "apply_strategy", "check_strategy"]
