"""The language: what a file says, from its sections and variants down to the nodes of its network."""
