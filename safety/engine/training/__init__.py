"""How the heads and the adapter are made and measured: tools of the project, never imported by a process of the service."""
