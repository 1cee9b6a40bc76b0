"""The wire contract, generated from proto/safelight/v1 by scripts/gen_proto."""
