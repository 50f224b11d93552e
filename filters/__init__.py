"""Raw crawl in, corpus of an exact token budget out: ``filters run JOB.yaml``.

``from filters.budget import cut`` is the budget cut by itself.
"""
