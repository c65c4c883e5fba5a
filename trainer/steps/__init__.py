"""Steps: what a network, its loss and its optimizer do with a batch, and what makes that fast."""
