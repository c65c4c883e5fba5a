"""Pictures of a plan: its tree with equal parts shown once (`outline`), laid out (`layout`) and written."""
