"""What jobs promise, measured on servers that run in processes of their own: what scripts/jobs does."""
