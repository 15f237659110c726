"""The subcommands, one file each: from flags to a result on the streams.

They are strangers to one another, and none of them knows an exit status: errors do, and `cli.main` asks them.
"""
