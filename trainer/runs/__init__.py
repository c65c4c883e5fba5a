"""Runs: a spec and its data checked, trained by Lightning, saved, resumed and evaluated."""
