"""What an editor shows of a spec while it is written. Only `server`, which speaks the protocol, needs an extra."""
