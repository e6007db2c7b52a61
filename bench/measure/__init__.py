"""One file per group of figures."""
