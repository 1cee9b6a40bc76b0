"""What Safelight is measured against. Each peer works in a process of its own; its clock runs there."""
