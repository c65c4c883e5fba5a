"""Trials: a training's first steps, of which nothing is kept but what they tell."""
