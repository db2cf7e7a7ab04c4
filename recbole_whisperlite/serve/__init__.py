"""The shop window: exported models over HTTP, a page to try them, feedback, user studies.

FastAPI and uvicorn (extra ``serve``) over :class:`recbole_whisperlite.Recommender`.
"""
