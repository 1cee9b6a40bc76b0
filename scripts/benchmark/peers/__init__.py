"""What Safelight is compared with. Each peer works in a process of its own, and is timed there."""
