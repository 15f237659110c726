"""The wall around the embedded engine: fetching weights, starting and stopping the server that runs them.

Only this package knows that there are files, wheels and a child process; outside it there is an `Endpoint`, a
base URL and a key, spoken to like any other provider.
"""
