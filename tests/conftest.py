"""Shared by all tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers whatever ran before."""
    torch.manual_seed(0)
