"""Files made from the tables of options: a page of the docs, manual pages, shell completions."""
