"""The main job end to end on an embedded sample crawl; ``python -m demo`` (or ``make demo``).

``sites/*.yaml`` are pages of invented web sites and ``textbook/*.md`` are textbook-like sections, all written for this
project. ``crawl`` wraps the pages in the clutter of real sites and packs them into WARC files.
"""
