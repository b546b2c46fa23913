"""The book's pages.

- ``build``: lays out stored runs as pages and calls the book tool.
- ``pages``: what narrative pages show of a section.
- ``published``: where the results come from that are published with the book.
- ``claim_grid``: the dashboard, claims by settings.
- ``claim_strips``: its dot plots.
- ``claim_pages``: every verdict in full, what was missed, and a line a claim.
- ``claim_marks``: how verdicts are written.
- ``execute_pages``: runs narrative pages side by side.
- ``sphinx_figures``: Plotly figures in pages.
- ``under_figures``: a figure's code and tables under it.
- ``computing``: the notebooks' lines that compute a figure's tables.
- ``stills``: still images of figures.
- ``theme``: links in pages' headers, and the theme's flaws mended.
- ``contents``: the pages in their order.
- ``gallery``: every figure of the book and of the papers.
- ``own``: an example of a probe with its output, and what ε is in the book's settings.
- ``supported``: the table of library networks that are compared by default.
- ``errors``: kinds of mistakes, each with the sentences that are about it.
- ``raised``: the sentences that the package raises, from its source.
- ``table_files``: tables as CSV and Parquet.
- ``terms``: links to the glossary.
- ``headings``: those that a cell writes.
- ``numbering``: figures' numbers page by page, theorems' as in the paper.
- ``reading_order``: the way from narrative page to narrative page.
- ``live``: the network that runs in the reader's browser.
- ``printed``: the book as one PDF.
"""
