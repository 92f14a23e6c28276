"""Companies and their logos, and what every page has."""
