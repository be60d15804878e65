"""What the program's pages share: escaping, words in two languages, the content policy."""
