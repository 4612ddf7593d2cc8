"""The sampler's order: complete, shared among processes, and the same from wherever it starts."""

import copy
import math
import pickle
from itertools import chain, islice

import pytest
from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset

from mmswinv2.engine import ResumableSampler, SeededIndex, resumable_sampler

SIZE = 10


def sampler(monkeypatch: pytest.MonkeyPatch, rank: int = 0, processes: int = 1, **options: object) -> ResumableSampler:
    monkeypatch.setattr(resumable_sampler, "get_dist_info", lambda: (rank, processes))
    return ResumableSampler(range(SIZE), **{"seed": 1, **options})


def with_seeds(samples: list[SeededIndex]) -> list[tuple[int, int]]:
    return [(int(index), index.seed) for index in samples]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda index: pickle.loads(pickle.dumps(index))])
def test_seeded_index_reaches_workers_whole(copied: object) -> None:
    index = copied(SeededIndex(3, 5))
    assert index == 3 and index.seed == 5 and "abcd"[index] == "d"


class Seeds(BaseDataset):
    """Samples are what reaches them of an index."""

    def load_data_list(self) -> list[dict]:
        return [{} for _ in range(SIZE)]

    def get_cat_ids(self, index: int) -> list[int]:
        return [min(index, 1)]  # the first sample has a rare class of its own

    def __getitem__(self, index: int) -> tuple[int, int]:
        return int(index), index.seed


def test_seed_reaches_data_sets_inside_mmengine_s_wrappers() -> None:
    """So that a run on several folders, or on one that is repeated, resumes exactly too."""
    assert ConcatDataset([Seeds(), Seeds()])[SeededIndex(SIZE + 3, 5)] == (3, 5)
    assert RepeatDataset(Seeds(), times=3)[SeededIndex(2 * SIZE + 3, 5)] == (3, 5)


def test_seed_reaches_a_data_set_that_is_balanced_by_class() -> None:
    """The rare class is repeated, and each repetition has a seed of its own."""
    dataset = ClassBalancedDataset(Seeds(), oversample_thr=0.9)
    samples = [dataset[index] for index in ResumableSampler(dataset, shuffle=False, seed=1)]
    rare = [seed for index, seed in samples if index == 0]
    assert len(rare) == len(set(rare)) > 1
    assert len({seed for _, seed in samples}) == len(samples)


def test_epochs_are_complete_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs, seeds = [], set()
    one = sampler(monkeypatch)
    for epoch in range(3):
        one.set_epoch(epoch)
        samples = list(one)
        assert sorted(samples) == list(range(SIZE)) and len(one) == SIZE
        epochs.append(tuple(samples))
        seeds |= {index.seed for index in samples}
    assert len(set(epochs)) == 3 and len(seeds) == 3 * SIZE


def test_the_seed_of_the_run_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (with_seeds(sampler(monkeypatch, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert [index for index, _ in first] != [index for index, _ in other]
    assert not {seed for _, seed in first} & {seed for _, seed in other}


def test_unshuffled_is_in_order_with_seeds_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of held-out images are then the same at every evaluation."""
    one = sampler(monkeypatch, shuffle=False)
    assert list(one) == list(range(SIZE))
    assert with_seeds(one) == with_seeds(one)


@pytest.mark.parametrize("infinite", [False, True])
@pytest.mark.parametrize("processes", [1, 3])
def test_starting_anywhere_continues_the_same_order(
    infinite: bool, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in range(processes):
        whole = with_seeds(islice(sampler(monkeypatch, rank, processes, infinite=infinite), 4 * SIZE))
        for start in range(len(whole)):
            late = sampler(monkeypatch, rank, processes, infinite=infinite)
            late.skip(start * processes)
            assert with_seeds(islice(late, len(whole) - start)) == whole[start:]


@pytest.mark.parametrize("processes", [1, 3, 4, 13])
def test_endless_processes_share_epochs_without_repetition(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken in turns, each epoch has every image once, also with more processes than images."""
    count = 6 * SIZE
    streams = [list(islice(sampler(monkeypatch, rank, processes, infinite=True), count)) for rank in range(processes)]
    merged = [index for turn in zip(*streams, strict=True) for index in turn][:count]
    for epoch in range(6):
        assert sorted(merged[epoch * SIZE : (epoch + 1) * SIZE]) == list(range(SIZE))
    assert len({index.seed for index in merged}) == count
    single = list(islice(sampler(monkeypatch, infinite=True), count))
    assert with_seeds(merged) == with_seeds(single)


@pytest.mark.parametrize(("round_up", "lengths"), [(True, [4, 4, 4]), (False, [4, 3, 3])])
def test_finite_processes_share_an_epoch(round_up: bool, lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded up, the first images of the order come again, as in MMEngine's DefaultSampler, with other seeds."""
    samplers = [sampler(monkeypatch, rank, 3, round_up=round_up) for rank in range(3)]
    streams = [list(one) for one in samplers]
    assert [len(stream) for stream in streams] == [len(one) for one in samplers] == lengths
    samples = list(chain.from_iterable(streams))
    assert set(samples) == set(range(SIZE))
    assert len({index.seed for index in samples}) == len(samples)


@pytest.mark.parametrize("infinite", [False, True])
def test_other_processes_go_on_where_some_have_stopped(infinite: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three go on after two that have had 4 samples; equally many each, and nothing of the epoch twice but its end."""
    samplers = [sampler(monkeypatch, rank, 3, infinite=infinite) for rank in range(3)]
    for one in samplers:
        one.skip(4)
    streams = [list(islice(one, math.ceil((SIZE - 4) / 3))) for one in samplers]
    assert len({len(stream) for stream in streams}) == 1
    merged = [index for turn in zip(*streams, strict=True) for index in turn]
    assert with_seeds(merged[: SIZE - 4]) == with_seeds(sampler(monkeypatch))[4:]


def test_set_epoch_begins_an_epoch_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    one = sampler(monkeypatch)
    one.skip(4)
    assert len(list(one)) == SIZE - 4
    one.set_epoch(1)
    assert len(list(one)) == SIZE


def test_an_empty_data_set_is_refused() -> None:
    """An endless sampler of nothing would run forever."""
    with pytest.raises(ValueError, match="empty"):
        ResumableSampler([], infinite=True)
