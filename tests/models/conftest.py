"""Shared by the tests of models."""

import pytest
import torch

from mmswinv2 import SwinTransformerV2

from .small_backbone import make


@pytest.fixture(scope="module")
def model() -> SwinTransformerV2:
    """In evaluation mode, not to be changed."""
    torch.manual_seed(0)
    return make().eval()
