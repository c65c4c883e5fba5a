"""What all else stands on: errors with places, YAML with places, formulas, typed arguments, schemas, shapes."""
