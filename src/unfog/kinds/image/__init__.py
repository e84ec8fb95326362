"""Images: 8- and 16-bit integers or floats, any channel count, one size per model."""
