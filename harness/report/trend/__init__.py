"""A campaign's course as a static page and an Atom feed. Pure: a trend in, text out."""
