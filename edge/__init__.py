"""The device half: command line, sources, runner, transport, link estimator, discovery."""
