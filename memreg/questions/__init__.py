"""One module per entry point, by its name: what is asked, `run()`, and what is answered."""
