"""The development machinery behind `make setup`, `make run` and `make test`.

A person who has Python 3.11, make and a C library gets PostgreSQL and Valkey from wheels, on unix sockets
nobody else can reach, under a supervisor that leaves nothing behind. Deployments do not use this package:
they have servers of their own (`DATABASE_URL`, `REDIS_URL`) and a process manager.
"""
