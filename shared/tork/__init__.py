"""What torkd and torkctl share: the nouns, how job files and expressions are read, and every error."""
