"""Other programs and a server run our files, each in an environment of its own: `make test-clients`."""
