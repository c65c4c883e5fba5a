"""Written values: YAML with places, formulas, typed arguments, and JSON Schemas that values are held to."""
