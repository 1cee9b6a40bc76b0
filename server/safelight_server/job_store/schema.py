"""What the job store holds, as SQL."""

from __future__ import annotations

VERSION = 2

# What makes a store of this version one of the next.
UPGRADES = {1: "ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT ''"}

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL DEFAULT '',
  reserved INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  digest BLOB NOT NULL,
  model TEXT NOT NULL,
  state TEXT NOT NULL,
  created REAL NOT NULL,
  ended REAL,
  expires REAL,
  record TEXT NOT NULL,
  request BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_request ON jobs (request_id) WHERE request_id != '';
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (created);
CREATE TABLE IF NOT EXISTS events (
  job TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (job, sequence)
);
CREATE TABLE IF NOT EXISTS checkpoints (
  job TEXT NOT NULL,
  image INTEGER NOT NULL,
  step INTEGER NOT NULL,
  hangs_on TEXT NOT NULL,
  digest BLOB NOT NULL,
  state BLOB NOT NULL,
  PRIMARY KEY (job, image, step)
);
"""
