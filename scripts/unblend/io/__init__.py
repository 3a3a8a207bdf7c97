"""The only modules that open files. Here 1-based FITS, DS9 and IMFIT pixels become 0-based (y, x) and back."""
