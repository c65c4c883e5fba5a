"""The devices of a training, the processes on them, and how these communicate."""
