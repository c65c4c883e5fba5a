"""Processes: the machine of a training, the processes on it, and what they agree on."""
