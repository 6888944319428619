"""The front door: command line, SDK, engines without Docker."""
