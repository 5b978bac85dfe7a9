"""Everything that a person looks at: figures, the report, the words of runs, the terminal."""
