"""The plan: a network elaborated, with every shape and count, and nothing of torch."""
