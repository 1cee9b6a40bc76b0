"""The rows of scripts/jobs, the most valuable first."""

from __future__ import annotations

from abusing.rows import Row

from . import checkpoints, cuts, deadlines, duplicates, estimates, finish, forks, kills, memory, sixth

ROWS = {
    "kills": Row("a server that is killed again and again", kills.measure),
    "cuts": Row("links that are cut, and clients that are killed", cuts.measure),
    "duplicates": Row("the same request id, many times at once", duplicates.measure),
    "forks": Row("a fork that changes nothing", forks.measure),
    "finish": Row("a job that is told to finish", finish.measure),
    "checkpoints": Row("what checkpoints cost", checkpoints.measure),
    "estimates": Row("what Estimate says in a mixed load", estimates.measure),
    "memory": Row("the memory that Estimate says", memory.measure),
    "sixth": Row("a sixth of eight seeds, and two finished", sixth.measure),
    "deadlines": Row("deadlines, against threads and a lock", deadlines.measure),
}
