"""What a person looks at: the report's page, pictures of bands and fits, the sheet of all fits.

In: products of the field.
Out: one HTML page, PNG pictures.
"""
