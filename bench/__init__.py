"""Measurements: `make bench`. Each figure stands beside bare neonize's, taken in the same run on the same machine."""
