"""The ``lethe`` command. Needs ``lethe[pipeline]``; the SDK alone does not."""

import sys


def main() -> None:
    """Run the command line, or say what to install."""
    try:
        from lethe.cli import app  # noqa: PLC0415 - what is missing is said below
    except ModuleNotFoundError as missing:
        sys.exit(
            f"lethe: the command line needs the package {missing.name}; "
            "install it with: pip install 'lethe[pipeline]' (engines too: 'lethe[pipeline,local]')"
        )
    app()


if __name__ == "__main__":
    main()
