"""Arrays of any rank: numbers without a further meaning, standardised per entry or per channel."""
