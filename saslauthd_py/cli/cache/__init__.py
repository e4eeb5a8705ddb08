"""`cache ...`: the proofs that the running daemon remembers, a file for each command."""
