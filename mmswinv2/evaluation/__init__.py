"""Metrics of classification and pretraining."""

from .accuracy import Accuracy
from .prediction_table import PredictionTable
from .reconstruction_loss import ReconstructionLoss

__all__ = ["Accuracy", "PredictionTable", "ReconstructionLoss"]
