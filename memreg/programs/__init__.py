"""The commands: what may be asked is read here; what answers is imported once it is known to be possible."""
