"""One module a boundary; each has a TARGET (see fuzz.target)."""
