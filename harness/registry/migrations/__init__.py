"""The schema's history, one revision a file; a revision that was released is never edited."""
