"""The data-quality report: one HTML page per build, and the plots of each table for the Dagster UI.

make_report(store, home, source, limits)        -> quality/report/{name}.html and latest.html, older ones pruned
table_plots(store, "books", limits)             -> the table's plots as Markdown
"""
