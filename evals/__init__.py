"""Trained models → item scores → comparisons that say no more than is known.

Reads the files that ``train`` wrote and imports nothing of it. The command is the interface; from Python,
``evals.results.read_results`` reads a results folder and ``evals.compare.compare`` compares its runs.
"""
