"""The page that shows a spec while it is written: served from this machine, or written as static files."""
