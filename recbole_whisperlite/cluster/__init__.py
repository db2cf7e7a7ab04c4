"""Tasks in other processes and on other machines, by Dask (the extra ``cluster``)."""
