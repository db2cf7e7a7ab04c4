"""The command as a whole: what ``--help`` prints, and how little it imports."""

import subprocess
import sys

import pytest

from recbole_whisperlite import prepare


@pytest.mark.parametrize("source", [[], *([name] for name in prepare.SOURCES)])
def test_help_names_the_command_as_installed(source, capsys):
    with pytest.raises(SystemExit, match="0"):
        prepare.main([*source, "--help"])
    usage = " ".join(["usage: recbole-whisperlite prepare", *source])
    assert capsys.readouterr().out.startswith(usage)


def test_help_imports_nothing_heavy():
    code = (
        "import sys, recbole_whisperlite.prepare\n"
        "print({'pandas', 'pyarrow', 'recbole', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "set()", run.stderr
