"""What an editor is told of a spec while it is written: all but the protocol, which `server` speaks, needs no extra."""
