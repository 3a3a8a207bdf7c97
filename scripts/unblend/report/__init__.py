"""The report of a field: the HTML page, pictures of bands and fits, the sheet of all fits.

In: the products of a field.
Out: HTML pages and PNG pictures.
"""
