"""Layers: what a primitive is, the primitives and blocks that there are, how they begin, how branches are merged."""
