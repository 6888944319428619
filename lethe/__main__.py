"""The ``lethe`` command. Needs the extra ``pipeline``; the SDK alone does not."""

import sys


def main() -> None:
    """Run the command line, or say what to install."""
    try:
        from lethe.cli import app  # noqa: PLC0415 - what is missing is said below
    except ModuleNotFoundError as missing:
        sys.exit(
            f"lethe: the command line needs the package {missing.name}; "
            "in a checkout: pip install '.[pipeline]' (engines too: '.[pipeline,local]')"
        )
    app()


if __name__ == "__main__":
    main()
