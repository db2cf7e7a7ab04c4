"""``python -m recbole_whisperlite.recbole3 …``: RecBole3.0's command, with our components.

The same as ``python -m recbole3.run "hydra.searchpath=[pkg://recbole_whisperlite.recbole3]"
…``, except that wrong data and settings end in one sentence.
"""

import importlib.util
import sys

from recbole_whisperlite.errors import UserError

_GET_IT = (
    "git clone https://github.com/RUCAIBox/RecBole3.0, then pip install --editable "
    "RecBole3.0 (it reads configs/ beside src/, so a plain install does not run)"
)


def main(argv: list[str] | None = None) -> int:
    """Run an experiment of RecBole3.0.

    Args:
        argv (list of str, optional): Hydra's overrides; by default those of the command
            line.

    Returns:
        int: 0, or 2 after an error that the user can mend.
    """
    try:
        if importlib.util.find_spec("recbole3") is None:
            raise UserError(f"RecBole3.0 is not installed. Get it with: {_GET_IT}.")
        from recbole3.run import main as run

        run(list(sys.argv[1:] if argv is None else argv))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
