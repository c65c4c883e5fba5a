"""Pictures of a plan: its tree, folded to what is worth showing (`outline`), laid out (`layout`) and written."""
