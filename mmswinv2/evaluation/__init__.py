"""Metrics of classification and pretraining."""

from .accuracy import Accuracy
from .prediction_table import PredictionTable
from .reconstruction_error import ReconstructionError

__all__ = ["Accuracy", "PredictionTable", "ReconstructionError"]
