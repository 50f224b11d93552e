"""A blend → checkpoints, ledger, exported model: one trainer for every variant, the phi-1.5 recipe as its defaults.

``from train.loop import train`` runs what the command ``train`` runs.
"""

from train.settings import TrainSettings as TrainSettings

__all__ = ["TrainSettings"]
