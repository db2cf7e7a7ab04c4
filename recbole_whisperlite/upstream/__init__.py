"""Into RecBole: WhisperLite as a change to RecBole's own sources.

``recbole-whisperlite upstream`` moves our files by a table (:mod:`moved`), writes what
RecBole's model requests bring along (:mod:`change`) and tries the result without this
package (:mod:`check`). ``recbole-whisperlite encode`` writes a dataset with requests and
its vectors in the layout that RecBole reads without us (:mod:`encode`).
"""
