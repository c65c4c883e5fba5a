"""Runs: a spec and its data brought together, trained on Lightning's engine, kept, gone on with and evaluated."""
