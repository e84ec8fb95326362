"""Tables of named columns of mixed type, with missing cells."""
