"""What every package may use: errors, strict settings, atomic files, documents, pages, the command wrapper.

Imports none of the other packages. Heavy libraries are imported inside the functions that need them.
"""
