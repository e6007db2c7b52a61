"""The process that takes one file apart. It is expected to be taken over by what it reads, and can do nothing else."""
