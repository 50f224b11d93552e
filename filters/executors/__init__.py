"""Who works on the units of a stage: local processes, Ray or Slurm, all from the same job file."""

from filters.executors.units import Advance, Unit, Work, is_done, run_units

__all__ = ["Advance", "Unit", "Work", "is_done", "run_units"]
