"""YAML as a person writes it: its layout and comments, a canonical form of both, and changes that keep them."""
