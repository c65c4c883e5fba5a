"""Training: any spec, by its recipe, on Lightning's engine. The command line uses it; `archspec` itself never does."""
