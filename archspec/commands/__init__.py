"""The commands, a file each; a file that is put here is found. Each defines `command`."""
