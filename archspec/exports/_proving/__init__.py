"""What formats with weights share: the module that is exported, random weights, and the proof of a written file."""
