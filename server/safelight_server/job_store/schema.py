"""What the job store holds, as SQL."""

from __future__ import annotations

VERSION = 1

# A drawing is the work of one or more equal jobs: they have its events, and what it can go on from, in common.
SCHEMA = """
CREATE TABLE IF NOT EXISTS drawings (
  id TEXT PRIMARY KEY,
  reserved INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY,
  drawing TEXT NOT NULL,
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
CREATE INDEX IF NOT EXISTS jobs_by_drawing ON jobs (drawing);
CREATE TABLE IF NOT EXISTS events (
  drawing TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (drawing, sequence)
);
CREATE TABLE IF NOT EXISTS checkpoints (
  drawing TEXT NOT NULL,
  image INTEGER NOT NULL,
  step INTEGER NOT NULL,
  hangs_on TEXT NOT NULL,
  digest BLOB NOT NULL,
  state BLOB NOT NULL,
  PRIMARY KEY (drawing, image, step)
);
"""
