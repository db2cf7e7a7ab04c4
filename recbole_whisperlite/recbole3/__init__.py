r"""WhisperLite in RecBole3.0: importing this package makes two entries in its tables.

``DATASET_TABLE["request_folder"]`` reads a folder of requests, and
``MODEL_TABLE["whisperlite"]`` is the model, with the towers and the loss of
:mod:`recbole_whisperlite.model`. RecBole3.0's own command imports this package when it
looks for settings in it::

    python -m recbole3.run "hydra.searchpath=[pkg://recbole_whisperlite.recbole3]" \
        dataset=request_folder model=whisperlite

Models of RecBole3.0 that train by its plain ``Trainer`` get a second name,
``<name>_by_request``, under which they are evaluated on the same queries. Nothing here
imports RecBole 1.

Source:
    RecBole3.0 at commit 71b0d83, ``docs/component-authoring.md``.
"""

import importlib.util

if importlib.util.find_spec("recbole3") is not None:
    from recbole_whisperlite.recbole3.registration import register

    register()
