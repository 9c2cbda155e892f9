"""Evidence of a run: journal, series, folder and archive, and how they are read."""
