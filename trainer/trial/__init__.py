"""Trials: a training's first steps, run to measure something; the trained weights are discarded."""
