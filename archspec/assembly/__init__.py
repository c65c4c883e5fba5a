"""Building: a plan as an ordinary torch module."""
