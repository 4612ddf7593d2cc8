"""Top-k accuracy of what the classifier returns: which predictions are right, and what cannot be scored."""

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS

from mmswinv2.evaluation import Accuracy

ACCURACY = dict(type="mmswinv2.Accuracy")


def evaluate(scores: torch.Tensor, labels: list[int], **options: object) -> dict[str, float]:
    metric = METRICS.build({**ACCURACY, **options})
    samples = [{"pred_score": row, "gt_label": label} for row, label in zip(scores, labels, strict=True)]
    metric.process({}, samples[:3])
    metric.process({}, samples[3:])
    return metric.evaluate(len(samples))


def test_counts_the_true_class_among_the_first_k() -> None:
    scores = torch.rand(40, 8)
    labels = torch.randint(8, (40,)).tolist()
    pairs = list(zip(scores, labels, strict=True))
    expected = {
        f"accuracy/top{k}": 100 * sum(label in row.topk(k).indices for row, label in pairs) / 40 for k in (1, 5)
    }
    assert 0 < expected["accuracy/top1"] < expected["accuracy/top5"] < 100
    assert evaluate(scores, labels) == pytest.approx(expected)


@pytest.mark.parametrize(("classes", "names"), [(6, ["top1", "top5"]), (5, ["top1"]), (3, ["top1"]), (2, ["top1"])])
def test_top5_is_left_out_where_it_would_say_nothing(classes: int, names: list[str]) -> None:
    result = evaluate(torch.rand(4, classes), [0, 1, 0, 1])
    assert list(result) == [f"accuracy/{name}" for name in names]


def test_equal_scores_do_not_count_as_right() -> None:
    """A collapsed network, whose scores are all equal, is as good as always naming the first class."""
    assert evaluate(torch.full((4, 4), 0.25), [0, 1, 2, 3], topk=(1, 2)) == {"accuracy/top1": 25, "accuracy/top2": 50}


def test_nan_scores_are_not_right() -> None:
    assert evaluate(torch.full((2, 4), float("nan")), [0, 3])["accuracy/top1"] == 0


def test_it_works_as_one_of_several_evaluators() -> None:
    evaluator = Evaluator([ACCURACY, {**ACCURACY, "topk": (2,), "prefix": "second"}])
    evaluator.process([{"pred_score": torch.tensor([0.2, 0.3, 0.5]), "gt_label": 1}], {})
    assert evaluator.evaluate(1) == {"accuracy/top1": 0, "second/top2": 100}


def test_unlabelled_data_is_said_to_be() -> None:
    with pytest.raises(ValueError, match="labelled data"):
        Accuracy().process({}, [{"pred_score": torch.rand(3), "pred_label": 1}])


@pytest.mark.parametrize("topk", [(), (0,), (1.0,), (True,)])
def test_other_k_is_refused(topk: tuple) -> None:
    with pytest.raises(ValueError, match="topk"):
        Accuracy(topk=topk)
