"""What an editor shows of a spec while it is written. Only `server` and `protocol` need an extra."""
