"""Modules that torch has no class for: networks and exports are made of them."""
