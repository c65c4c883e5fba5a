"""Images on their way from files to batches: read, measured, kept, brought to size, shuffled, augmented."""
