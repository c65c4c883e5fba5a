"""The primitives, a file a family. A file that is put here is found; nothing else needs to know of it."""
