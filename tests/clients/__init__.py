"""Other programs run our files, each in an environment of its own: `make test-clients`."""
