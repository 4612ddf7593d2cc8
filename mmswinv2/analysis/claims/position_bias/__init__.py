"""Log-CPB carries a model to larger windows (paper section 3.3, table 1): log-CPB, linear CPB and V1's table.

A small SwinV2 is trained with each at window 8. Then it is tested at larger windows and images without training, after
a short fine-tuning there, and at other windows on the same pixels. Four measures: SimMIM's loss on held-out images,
top-1 on flowers, mIoU on facades and on frames of driving videos. A table is also tested without V1's resizing, to tell
what of its fall is due to that. Every model is tested without its bias as well: one that loses nothing has none to
transfer. The report is written after each measure. With three seeds the part of SimMIM took about 3 hours of one CPU
core, that of driving videos 2.5, and those of flowers and facades 2 each.
"""

from ...report import write_report
from ...study_cli import Choices
from .plan import Plan
from .report import figure, tables

NEEDS = ("flowers5", "facade_instances", "camvid")


def run(choices: Choices) -> None:
    """Trains, tests, and writes the report."""
    study = choices.study()
    plan = Plan(choices)
    for count in range(1, len(plan.tasks) + 1):
        part = plan.of_first_tasks(count)
        values = study.run(list(part.measurements()))
        write_report(choices.work_dir, list(tables(part, values)), figure(part, values))
