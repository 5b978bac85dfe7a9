"""What several questions compute of stored cells."""
