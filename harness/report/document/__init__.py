"""The report as a value, and its renderings in HTML, Markdown and LaTeX."""
