"""What is written from the tables of options: a page of the docs, manual pages, completions of shells."""
