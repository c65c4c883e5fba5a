"""Modules that torch has no class for, a file each: what a network is built with, and what its export holds."""
