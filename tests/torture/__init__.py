"""What must hold whatever happens and whenever: kills, full disks, cut wires, and hundreds of runs.

Short in a plain run of the suite; `pytest -m torture --torture` runs it at full length.
"""
