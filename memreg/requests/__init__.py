"""What may be asked of each command: light to import, so that a mistyped name is refused at once."""
