"""`make bench`: how fast the product is, each figure beside what it is compared with in the same minute."""
