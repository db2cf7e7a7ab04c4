"""User studies: raters judge the lists of models, without knowing which model made one.

Three commands, ``recbole-whisperlite study make | serve | report``. A study is a folder:

================  ======================================================================
file              what
================  ======================================================================
``study.json``    the plan, all that raters are shown: :mod:`.plan`
``pictures/``     small copies of the products' pictures
``key.json``      which models made each list; only the report reads it
``raters.csv``    the links of the raters
``answers.jsonl`` what they answered, a line for each list judged: :mod:`.answers`
================  ======================================================================
"""
