"""Networks taken away: other forms of a plan or module, which need no archspec."""
